//! Operations whose answers hold real credentials. They would be out of our hands, and outlive the next rotation.

use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use super::grants::VIRTUAL;
use super::{names, uri};

/// In small letters. Those of IAM, STS, S3, S3 Control, Lake Formation, DataZone, SSO and Lightsail.
const REFUSED: [&str; 20] = [
    "assumerole",
    "assumeroot",
    "assumerolewithsaml",
    "assumerolewithwebidentity",
    "createaccesskey",
    "createbucketaccesskey",
    "createservicespecificcredential",
    "createsession",
    "getbucketaccesskeys",
    "getcredentialsforidentity",
    "getdataaccess",
    "getdelegatedaccesstoken",
    "getenvironmentcredentials",
    "getfederationtoken",
    "getrolecredentials",
    "getsessiontoken",
    "gettemporarygluepartitioncredentials",
    "gettemporarygluetablecredentials",
    "gettemporarydatalocationcredentials",
    "resetservicespecificcredential",
];

/// Whether a request is a form, whose `Action` names the operation.
pub(crate) fn is_form(head: &Parts) -> bool {
    let is_form = head.headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().to_ascii_lowercase();
        kind.starts_with(b"application/x-www-form-urlencoded")
    });
    is_form || actions(head.uri.query().unwrap_or_default().as_bytes()).next().is_some()
}

/// What a request is to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// No credentials.
    Nothing,
    /// A session, by an operation of [`VIRTUAL`] whose answer can be virtualised.
    Session(&'static str),
    /// S3's CreateSession: what it hands out is good for one bucket, and programs can do without.
    BucketSession,
    /// Credentials that there is no way to keep from it.
    Other,
}

/// What a request asks for. `body` is all of it; S3 has no operation whose body says so.
pub(crate) fn asks(service: &str, head: &Parts, body: &[u8]) -> Asks {
    if !is_refused(service, head, body) {
        return Asks::Nothing;
    }
    if uri::is_s3(service) && is_bucket_session(head) {
        return Asks::BucketSession;
    }
    // A form that cannot be read in two ways, of the service that answers as we know.
    let is_plain = service == "sts"
        && head.uri.path() == "/"
        && ["x-amz-target", "smithy-protocol"].iter().all(|name| !head.headers.contains_key(*name));
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let spelt = uri::pairs(query).chain(uri::pairs(body)).filter(|(name, _)| name == b"Action");
    let is_plain = is_plain && spelt.count() == 1;
    let mut named = actions(query).chain(actions(body));
    let operation = match (named.next(), named.next()) {
        (Some(operation), None) if is_plain => operation,
        _ => return Asks::Other,
    };
    let virtual_one = VIRTUAL.iter().find(|name| name.as_bytes() == operation);
    virtual_one.map_or(Asks::Other, |name| Asks::Session(name))
}

/// What a plain question names in a parameter.
pub(crate) fn parameter(head: &Parts, body: &[u8], wanted: &str) -> Option<String> {
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let mut pairs = uri::pairs(query).chain(uri::pairs(body));
    let (_, value) = pairs.find(|(name, _)| name == wanted.as_bytes())?;
    String::from_utf8(value).ok()
}

fn is_refused(service: &str, head: &Parts, body: &[u8]) -> bool {
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default().as_bytes());
    // S3 gets its path in one form, others as it came, and make of it what they like: what any of them could see is looked at.
    let path = path.as_bytes();
    let paths = [uri::decode(path), uri::plain_path(path)];
    if uri::is_s3(service) {
        let is_control = paths
            .iter()
            .any(|path| path.starts_with(b"/v20180820/accessgrantsinstance/dataaccess"));
        return is_control || is_bucket_session(head);
    }
    let target = head.headers.get(names::TARGET).map(http::HeaderValue::as_bytes);
    let target = target.map(|target| target.rsplit(|byte| *byte == b'.').next().unwrap_or(target));
    let in_path = paths.iter().filter_map(|path| operation_of(path));
    let named = target.into_iter().chain(in_path).map(<[u8]>::to_vec);
    named.chain(actions(query)).chain(actions(body)).any(|operation| is_named(&operation))
        || paths.iter().any(|path| is_path(service, path))
}

fn is_bucket_session(head: &Parts) -> bool {
    let query = head.uri.query().unwrap_or_default().as_bytes();
    head.method == Method::GET
        && uri::pairs(query).any(|(name, _)| name.eq_ignore_ascii_case(b"session"))
}

/// `/service/Prefix/operation/Operation`.
fn operation_of(path: &[u8]) -> Option<&[u8]> {
    let mut segments = path.rsplit(|byte| *byte == b'/').skip_while(|segment| segment.is_empty());
    let operation = segments.next()?;
    segments.next().filter(|segment| *segment == b"operation").map(|_| operation)
}

/// Every `Action` of a form, decoded: a server may take the first, or the last. `+` is a space in a form; in a URL it goes out
/// as what it is, and is no worse for being taken for one.
fn actions(form: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let spaced: Vec<u8> =
        form.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let pairs: Vec<_> = uri::pairs(&spaced).collect();
    pairs
        .into_iter()
        .filter(|(name, _)| trimmed(name).eq_ignore_ascii_case(b"Action"))
        .map(|(_, value)| value)
}

fn is_named(operation: &[u8]) -> bool {
    let operation = trimmed(operation).to_ascii_lowercase();
    REFUSED.iter().any(|refused| refused.as_bytes() == operation)
}

/// Without spaces and control characters at its ends, as Java's `trim` has it.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_kept = |byte: &u8| *byte > b' ';
    let Some(start) = text.iter().position(is_kept) else { return &[] };
    let end = text.iter().rposition(is_kept).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Operations that their path names.
fn is_path(service: &str, path: &[u8]) -> bool {
    match service {
        "lakeformation" => path.starts_with(b"/GetTemporary"),
        "datazone" => {
            let slashes = path.iter().rev().take_while(|byte| **byte == b'/').count();
            path[..path.len() - slashes].ends_with(b"/credentials")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn only_a_plain_question_to_sts_is_one_whose_answer_can_be_virtualised() {
        let form =
            |target| head("POST", target, &[("content-type", "application/x-www-form-urlencoded")]);
        let plain = form("/");
        let role = b"Action=AssumeRole&RoleArn=x";
        assert_eq!(asks("sts", &plain, role), Asks::Session("AssumeRole"));
        let query = head("GET", "/?Version=1&Action=GetSessionToken", &[]);
        assert_eq!(asks("sts", &query, b""), Asks::Session("GetSessionToken"));
        assert_eq!(asks("sts", &plain, b"Action=GetCallerIdentity"), Asks::Nothing);
        let bucket = head("GET", "/b--use1-az4--x-s3?session", &[]);
        assert_eq!(asks("s3express", &bucket, b""), Asks::BucketSession);
        let target = [("x-amz-target", "AWSX.AssumeRole")];
        for (service, head, body) in [
            ("sts", &plain, "Action=assumerole"),
            ("sts", &plain, "action=AssumeRole"),
            ("sts", &plain, "Action=AssumeRole+"),
            ("sts", &plain, "Action=AssumeRole&Action=AssumeRole"),
            ("sts", &plain, "Action=GetCallerIdentity&Action=AssumeRole"),
            ("sts", &form("/?Action=GetCallerIdentity"), "Action=AssumeRole"),
            ("sts", &form("/x"), "Action=AssumeRole"),
            ("sts", &head("POST", "/", &target), "Action=AssumeRole"),
            ("sts", &plain, "Action=AssumeRoleWithSAML"),
            ("sts", &plain, "Action=AssumeRoot"),
            ("iam", &plain, "Action=AssumeRole"),
            ("iam", &plain, "Action=CreateAccessKey"),
            ("s3", &head("GET", "/v20180820/accessgrantsinstance/dataaccess", &[]), ""),
        ] {
            assert_eq!(asks(service, head, body.as_bytes()), Asks::Other, "{head:?} {body}");
        }
    }

    #[test]
    fn what_hands_out_credentials_is_refused_however_it_is_written() {
        let form = head(
            "POST",
            "/",
            &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
        );
        assert!(is_form(&form));
        for body in [
            "Action=GetSessionToken&Version=2011-06-15",
            "Version=1&Action=CreateAccessKey",
            "Action=Create%41ccessKey",
            "%41ction=AssumeRole",
            "Action=GetCallerIdentity&Action=GetFederationToken",
            "action=assumerole",
            "Action=AssumeRole%20",
            "Action=GetSessionToken+",
            "Action=+GetSessionToken%0B",
            "+Action=GetSessionToken",
        ] {
            assert!(is_refused("sts", &form, body.as_bytes()), "{body}");
        }
        assert!(!is_refused("sts", &form, b"Action=GetCallerIdentity&Version=2011-06-15"));
        assert!(!is_refused("iam", &form, b"Action=ListAccessKeys&UserName=AssumeRole"));
        let query = head("GET", "/?Action=GetSessionToken", &[]);
        assert!(is_refused("sts", &query, b"") && is_form(&query));
        let target = head("POST", "/", &[("x-amz-target", "AWSX.GetSessionToken")]);
        assert!(is_refused("sts", &target, b"{}"));
        let cbor = head("POST", "/service/IAM/operation/CreateAccessKey", &[]);
        assert!(is_refused("iam", &cbor, b""));
        let session = head("GET", "/bucket--x-s3?session", &[]);
        assert!(is_refused("s3", &session, b""));
        for target in
            ["/bucket/session", "/bucket?list-type=2&prefix=session", "/b/k?Action=AssumeRole"]
        {
            assert!(!is_refused("s3", &head("GET", target, &[]), b""), "{target}");
        }
    }

    #[test]
    fn a_path_is_looked_at_as_a_server_may_read_it() {
        for (service, path) in [
            ("s3", "/v20180820/accessgrantsinstance/dataaccess"),
            ("s3", "/v20180820/accessgrantsinstance/%64ataaccess"),
            ("s3", "/v20180820%2Faccessgrantsinstance/dataaccess"),
            ("s3", "//v20180820/./accessgrantsinstance/dataaccess"),
            ("iam", "/service/IAM/operation/%43reateAccessKey"),
            ("iam", "/service/IAM/operation//CreateAccessKey/"),
            ("iam", "/service/IAM/operation/x/../CreateAccessKey"),
            ("iam", "/service/IAM/%6Fperation%2FCreateAccessKey"),
            ("lakeformation", "/GetTemporaryGlueTableCredentials"),
            ("lakeformation", "/%47etTemporaryGlueTableCredentials"),
            ("lakeformation", "//GetTemporaryGlueTableCredentials"),
            ("lakeformation", "/x/%2e%2e/GetTemporaryGlueTableCredentials"),
            ("lakeformation", "/GetTemporaryGlueTableCredentials/%2e%2e/x"),
            ("datazone", "/v2/domains/d/environments/e/credentials"),
            ("datazone", "/v2/domains/d/environments/e/%63redentials/"),
            ("datazone", "/v2/domains/d/environments/e/credentials/."),
        ] {
            assert!(is_refused(service, &head("GET", path, &[]), b""), "{service} {path}");
        }
        for (service, path) in [
            // Escaped twice: another name, wherever it is read.
            ("s3", "/v20180820/accessgrantsinstance/%2564ataaccess"),
            ("s3", "/b/v20180820/accessgrantsinstance/dataaccess"),
            ("iam", "/service/IAM/operation/ListAccessKeys"),
            ("lakeformation", "/ListPermissions"),
            ("datazone", "/v2/domains/d/environments/e"),
            ("lambda", "/2015-03-31/functions/CreateAccessKey"),
        ] {
            assert!(!is_refused(service, &head("GET", path, &[]), b""), "{service} {path}");
        }
    }
}
