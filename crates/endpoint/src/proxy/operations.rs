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

/// What is kept of what a program calls a role, in characters. AWS's names of roles are shorter.
const ROLE_MAX: usize = 256;

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
    let is_plain = is_plain && spelt(query, body, "Action").count() == 1;
    let mut named = actions(query).chain(actions(body));
    let operation = match (named.next(), named.next()) {
        (Some(operation), None) if is_plain => operation,
        _ => return Asks::Other,
    };
    let roles = values(query, "RoleArn").chain(values(body, "RoleArn")).count();
    if roles > 1 || roles != spelt(query, body, "RoleArn").count() {
        return Asks::Other;
    }
    let virtual_one = VIRTUAL.iter().find(|name| name.as_bytes() == operation);
    virtual_one.map_or(Asks::Other, |name| Asks::Session(name))
}

/// The role that such a session is of, to be written down: there is one at most. What a role's name cannot have is not in it.
pub(crate) fn role(operation: &str, head: &Parts, body: &[u8]) -> Option<String> {
    if operation != "AssumeRole" {
        return None;
    }
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let role = spelt(query, body, "RoleArn").next()?;
    let plain = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' };
    Some(role.iter().take(ROLE_MAX).map(plain).collect())
}

/// The values of a parameter whose name is spelt as AWS's documentation has it.
fn spelt<'a>(
    query: &'a [u8],
    body: &'a [u8],
    wanted: &'static str,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    let pairs = uri::pairs(query).chain(uri::pairs(body));
    pairs.filter(move |(name, _)| name == wanted.as_bytes()).map(|(_, value)| value)
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

/// Every `Action` of a form, decoded: a server may take the first, or the last.
fn actions(form: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    values(form, "Action")
}

/// The values of all that a server may take for a parameter. `+` is a space in a form; in a URL it goes out as what it is, and
/// is no worse for being taken for one.
fn values(form: &[u8], wanted: &str) -> impl Iterator<Item = Vec<u8>> {
    let spaced: Vec<u8> =
        form.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let pairs: Vec<_> = uri::pairs(&spaced).collect();
    pairs
        .into_iter()
        .filter(move |(name, _)| trimmed(name).eq_ignore_ascii_case(wanted.as_bytes()))
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
mod tests;
