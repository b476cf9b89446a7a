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
        // The audit trail would name one, and STS take the other.
        ("sts", &plain, "Action=AssumeRole&RoleArn=x&RoleArn=y"),
        ("sts", &plain, "Action=AssumeRole&RoleArn=x&roleArn=y"),
        ("sts", &plain, "Action=AssumeRole&RoleArn+=y"),
        ("sts", &form("/?RoleArn=x"), "Action=AssumeRole&RoleArn=y"),
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
fn a_role_is_written_down_as_plain_text_of_some_length() {
    let plain = head("POST", "/", &[]);
    let of = |operation, body: &str| role(operation, &plain, body.as_bytes());
    let arn = "arn%3Aaws%3Aiam%3A%3A123456789012:role/r";
    let named = of("AssumeRole", &format!("Action=AssumeRole&RoleArn={arn}&Version=1"));
    assert_eq!(named.as_deref(), Some("arn:aws:iam::123456789012:role/r"));
    let odd = of("AssumeRole", "RoleArn=a%0Ab%1B%5B1m%FF%E2%80%AEc");
    assert_eq!(odd.as_deref(), Some("a?b?[1m????c"));
    let long = of("AssumeRole", &format!("RoleArn={}", "x".repeat(5000)));
    assert_eq!(long.map(|role| role.len()), Some(256));
    assert_eq!(of("GetSessionToken", "RoleArn=x").or(of("AssumeRole", "")), None);
}

#[test]
fn what_hands_out_credentials_is_refused_however_it_is_written() {
    let form =
        head("POST", "/", &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")]);
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
