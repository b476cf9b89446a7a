//! What goes to AWS: which headers, which of them signed, and in what form.

use aws_sigv4::http_request::SignableBody;
use http::request::Parts;
use jiff::SignedDuration;
use rotakey_endpoint::proxy::key::SigningKeys;
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::sign::{Clock, Destination, Signed, sign};
use rotakey_endpoint::proxy::verify::{Policy, admit};

use super::world::{
    Book, Client, HOST, now, placeholder, policy, real, real_session, request, resigned, verified,
};

fn signed_names(signed: &Signed) -> String {
    let text = signed.headers["authorization"].to_str().unwrap();
    text.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap().to_owned()
}

fn names(signed: &Signed) -> Vec<&str> {
    let mut names: Vec<_> = signed.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn unsigned_after(head: &mut Parts, lines: &[(&'static str, &str)]) {
    for (name, value) in lines {
        head.headers.insert(*name, value.parse().unwrap());
    }
}

#[test]
fn what_is_of_this_connection_is_dropped_and_the_rest_is_kept_byte_for_byte() {
    let sent = [
        ("x-amz-meta-a", "two  spaces   x"),
        ("content-type", "text/plain"),
        ("content-length", "3"),
        ("range", "bytes=0-1"),
        ("amz-sdk-request", "attempt=1; max=3"),
        ("date", "Wed, 25 Nov 2026 12:00:00 GMT"),
    ];
    let mut head =
        Client::default().sign(request("PUT", "/b/k", &sent), SignableBody::Bytes(b"abc"));
    unsigned_after(
        &mut head,
        &[
            ("connection", "keep-alive, te"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("expect", "100-continue"),
            ("user-agent", "boto3"),
            ("accept-encoding", "identity"),
            ("x-amzn-trace-id", "Root=1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("via", "1.1 a"),
            ("proxy-authorization", "Basic x"),
        ],
    );
    let right = verified(&head, b"").unwrap();
    let signed = resigned(&head, &right, &real());
    assert_eq!(
        names(&signed),
        [
            "accept-encoding",
            "amz-sdk-request",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "range",
            "user-agent",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-meta-a",
            "x-amzn-trace-id",
        ]
    );
    assert_eq!(
        signed_names(&signed),
        "amz-sdk-request;content-type;host;range;x-amz-content-sha256;x-amz-date;x-amz-meta-a"
    );
    assert_eq!(signed.headers["x-amz-meta-a"], "two  spaces   x");
    assert_eq!(signed.headers["host"], "s3.eu-west-1.amazonaws.com");
    let text = signed.headers["authorization"].to_str().unwrap();
    let start =
        "AWS4-HMAC-SHA256 Credential=AKIAREALREALREALREAL/20261125/eu-west-1/s3/aws4_request, ";
    assert!(text.starts_with(start), "{text}");
    assert!(signed.headers["authorization"].is_sensitive());
    let all = format!("{signed:?}");
    assert!(!all.contains("AKIAREAL") && !all.contains("realSECRET"), "{all}");
}

#[test]
fn the_token_is_that_of_the_real_credentials_and_never_the_clients() {
    let client = Client { token: Some("clientTOKEN"), ..Client::default() };
    let head = client.sign(request("GET", "/b", &[]), SignableBody::Bytes(b""));
    let right = verified(&head, b"").unwrap();
    let signed = resigned(&head, &right, &real());
    assert!(!signed.headers.contains_key("x-amz-security-token"));
    assert!(!format!("{signed:?}").contains("clientTOKEN"));
    let signed = resigned(&head, &right, &real_session());
    assert_eq!(signed.headers["x-amz-security-token"], "realTOKENrealTOKEN//+=");
    assert!(signed.headers["x-amz-security-token"].is_sensitive());
    assert!(signed_names(&signed).ends_with(";x-amz-date;x-amz-security-token"));
}

#[test]
fn a_url_becomes_a_header() {
    for service in ["s3", "sts"] {
        let client =
            Client { in_url: true, service, token: Some("clientTOKEN"), ..Client::default() };
        let body = match service {
            "s3" => SignableBody::UnsignedPayload,
            _ => SignableBody::Bytes(b""),
        };
        let target = "/b/k?response-content-type=a%2Fb&x-id=GetObject&uploads";
        let head = client.sign(request("GET", target, &[]), body);
        assert!(head.uri.query().unwrap().contains("X-Amz-Signature="));
        let right = verified(&head, b"").unwrap();
        assert!(right.is_presigned());
        let signed = resigned(&head, &right, &real());
        let target = signed.target.as_str();
        let wanted = "/b/k?response-content-type=a%2Fb&x-id=GetObject&uploads";
        assert_eq!(target.trim_end_matches('='), wanted);
        assert!(signed.headers.contains_key("authorization"));
        let sha256 = signed.headers.get("x-amz-content-sha256").map(|it| it.to_str().unwrap());
        assert_eq!(sha256, (service == "s3").then_some("UNSIGNED-PAYLOAD"));
    }
}

#[test]
fn s3_gets_the_path_in_the_form_that_is_signed_and_the_others_as_it_came() {
    let get = |service, target: &str| {
        let client = Client { service, ..Client::default() };
        let head = client.sign(request("GET", target, &[]), SignableBody::Bytes(b""));
        let right = verified(&head, b"").unwrap();
        resigned(&head, &right, &real()).target.as_str().to_owned()
    };
    for (service, sent, out) in [
        ("s3", "/b/a/../b//c/./d", "/b/a/../b//c/./d"),
        ("s3", "/b/%C3%A4%20%2B%25", "/b/%C3%A4%20%2B%25"),
        ("s3", "/b//", "/b//"),
        ("s3", "//b", "//b"),
        ("lambda", "/f/arn%3Aaws%3Al//x/../i", "/f/arn%3Aaws%3Al//x/../i"),
        ("lambda", "/f/a:b", "/f/a:b"),
        ("s3", "/b?b=2&a=1&b=1&uploads&a=%2f", "/b?b=2&a=1&b=1&uploads&a=%2F"),
    ] {
        assert_eq!(get(service, sent), out);
    }
}

#[test]
fn the_hash_of_the_body_is_said_to_s3_and_to_whoever_was_told_it() {
    let sha256 = |service, body: SignableBody<'_>, whole: &[u8]| {
        let client = Client { service, ..Client::default() };
        let head = client.sign(request("PUT", "/b", &[]), body);
        let right = verified(&head, whole).unwrap();
        let signed = resigned(&head, &right, &real());
        signed.headers.get("x-amz-content-sha256").map(|it| it.to_str().unwrap().to_owned())
    };
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256("s3", SignableBody::Bytes(b"abc"), b""), Some(abc.to_owned()));
    assert_eq!(sha256("dynamodb", SignableBody::Bytes(b"abc"), b"abc"), None);
    let modes = [
        "UNSIGNED-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    ];
    for mode in modes {
        let body = SignableBody::Precomputed(mode.to_owned());
        assert_eq!(sha256("s3", body, b""), Some(mode.to_owned()));
    }
}

/// Outside of S3 too: else AWS would hash the body, and compare that.
#[test]
fn a_mode_that_a_url_says_is_said_in_a_header() {
    let client = Client { in_url: true, service: "execute-api", ..Client::default() };
    let target = "/x?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD";
    let head = client.sign(request("PUT", target, &[]), SignableBody::UnsignedPayload);
    let right = verified(&head, b"anything").unwrap();
    let signed = resigned(&head, &right, &real());
    assert_eq!(signed.target.as_str(), "/x");
    assert_eq!(signed.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
}

/// Global services are signed for another region than the client thinks; the day may be another one by AWS's clock.
#[test]
fn region_clock_and_path_may_be_others_than_the_clients() {
    let client = Client { service: "iam", ..Client::default() };
    let head = client.sign(request("POST", "/_host/x/p", &[]), SignableBody::Bytes(b"A"));
    let right = verified(&head, b"A").unwrap();
    let to = Destination {
        host: "iam.amazonaws.com",
        region: "us-east-1",
        service: "iam",
        path: Some("/p"),
    };
    let clock = Clock { now: now(), upstream_offset: SignedDuration::from_hours(13) };
    let signed = sign(&head, &right, &to, &real(), &SigningKeys::new(), clock).unwrap();
    assert_eq!(signed.headers["x-amz-date"], "20261126T010000Z");
    assert_eq!(signed.target.as_str(), "/p");
    let text = signed.headers["authorization"].to_str().unwrap();
    assert!(text.contains("/20261126/us-east-1/iam/aws4_request"), "{text}");
    // Another key for the same request, as fail-over needs it.
    let other = sign(&head, &right, &to, &real_session(), &SigningKeys::new(), clock).unwrap();
    assert_ne!(other.headers["authorization"], signed.headers["authorization"]);
}

/// "Query string request authentication example", Amazon S3 user guide, in path style.
#[test]
fn urls_of_version_2_are_taken_where_that_is_asked_for_and_go_out_as_version_4() {
    use rotakey_core::credential::SecretAccessKey;
    use rotakey_endpoint::proxy::verify::Placeholder;
    let book = Book(Placeholder {
        id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
        secret: SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
        ..placeholder()
    });
    let url = "/johnsmith/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE\
               &Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620";
    let check = |method: &str, url: &str, headers: &[(&str, &str)], region, now: &str| {
        let policy = Policy { now: now.parse().unwrap(), version_2_region: region, ..policy() };
        let mut all = vec![("host", HOST)];
        all.extend(headers);
        let head = request(method, url, &all).into_parts().0;
        let verified = admit(&head, &policy, &book)?.verify(&head, None, &SigningKeys::new())?;
        assert!(verified.chunks().is_none());
        Ok(resigned(&head, &verified, &real()))
    };
    let (region, now) = (Some("eu-west-1"), "2007-03-29T03:40:19Z");
    let signed = check("GET", url, &[], region, now).unwrap();
    assert_eq!(signed.target.as_str(), "/johnsmith/photos/puppy.jpg");
    assert_eq!(signed.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert!(signed.headers["authorization"].to_str().unwrap().starts_with("AWS4-"));
    let later = "2007-03-29T03:40:21Z";
    let other = url.replace("puppy", "kitten");
    let longer = url.replace("1175139620", "1175139621");
    let more = format!("{url}&prefix=a");
    let signed_more = format!("{url}&acl");
    for (method, url, headers, region, now, why) in [
        ("GET", url, &[][..], None, now, Refusal::Version2),
        ("GET", url, &[], region, later, Refusal::Expired),
        ("GET", url, &[], region, "2007-03-22T03:40:19Z", Refusal::Malformed),
        ("PUT", url, &[], region, now, Refusal::WrongSignature),
        ("GET", &*other, &[], region, now, Refusal::WrongSignature),
        ("GET", &*longer, &[], region, now, Refusal::WrongSignature),
        ("GET", &*more, &[], region, now, Refusal::WrongSignature),
        ("GET", &*signed_more, &[], region, now, Refusal::WrongSignature),
        ("GET", url, &[("x-amz-acl", "public-read")], region, now, Refusal::WrongSignature),
        ("GET", url, &[("content-type", "a/b")], region, now, Refusal::WrongSignature),
    ] {
        assert_eq!(check(method, url, headers, region, now).map(drop), Err(why), "{method} {url}");
    }
}
