//! Who must not get through, though most of what they send is right.

use aws_sigv4::http_request::SignableBody;
use http::request::Parts;
use jiff::{SignedDuration, ToSpan};
use rotakey_core::credential::SessionToken;
use rotakey_endpoint::proxy::key::SigningKeys;
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::render::Protocol;
use rotakey_endpoint::proxy::verify::{Placeholder, Policy, admit};

use super::world::{
    Book, Client, HOST, ID, admitted, now, placeholder, policy, real, request, resigned, verified,
};

fn put(headers: &[(&str, &str)]) -> Parts {
    Client::default().sign(request("PUT", "/b/k", headers), SignableBody::Bytes(b"abc"))
}

fn why(head: &Parts) -> Result<(), Refusal> {
    verified(head, b"abc").map(drop)
}

#[test]
fn who_does_not_know_the_secret_is_refused() {
    assert_eq!(why(&put(&[])), Ok(()));
    let guess = Client { secret: "placeholderSECRETplaceholderSECRETplacex", ..Client::default() };
    let head = guess.sign(request("PUT", "/b/k", &[]), SignableBody::Bytes(b"abc"));
    assert_eq!(why(&head), Err(Refusal::WrongSignature));
    let stranger = Client { id: "RKPLACEHOLDER0000002", ..Client::default() };
    let head = stranger.sign(request("PUT", "/b/k", &[]), SignableBody::Bytes(b"abc"));
    assert_eq!(why(&head), Err(Refusal::UnknownKey));
    assert_eq!(
        why(&request("PUT", "/b/k", &[("host", HOST)]).into_parts().0),
        Err(Refusal::Unsigned)
    );
}

/// Every single digit counts: half a comparison would let half a signature through.
#[test]
fn a_signature_is_compared_to_its_last_digit() {
    let head = put(&[]);
    let text = head.headers["authorization"].to_str().unwrap().to_owned();
    let start = text.len() - 64;
    for at in start..text.len() {
        let mut other = text.clone().into_bytes();
        other[at] = if other[at] == b'0' { b'1' } else { b'0' };
        let mut head = head.clone();
        head.headers.insert("authorization", http::HeaderValue::from_bytes(&other).unwrap());
        assert_eq!(why(&head), Err(Refusal::WrongSignature), "digit {}", at - start);
    }
}

#[test]
fn nothing_that_aws_acts_on_can_be_added() {
    for name in
        ["x-amz-acl", "x-amz-meta-a", "x-amz-copy-source", "x-amz-security-token", "x-amz-anything"]
    {
        let mut head = put(&[]);
        head.headers.insert(name, "1".parse().unwrap());
        assert_eq!(why(&head), Err(Refusal::HeaderNotSigned), "{name}");
    }
    // Nor left out.
    let mut head = put(&[("x-amz-acl", "private")]);
    head.headers.remove("x-amz-acl");
    assert_eq!(why(&head), Err(Refusal::Malformed));
    // Nor doubled: values of one name are joined.
    let mut head = put(&[("x-amz-meta-a", "1")]);
    head.headers.append("x-amz-meta-a", "2".parse().unwrap());
    assert_eq!(why(&head), Err(Refusal::WrongSignature));
    // The same in a URL.
    let client = Client { in_url: true, ..Client::default() };
    let mut head = client.sign(request("PUT", "/b/k", &[]), SignableBody::UnsignedPayload);
    assert_eq!(why(&head), Ok(()));
    head.headers.insert("x-amz-acl", "public-read".parse().unwrap());
    assert_eq!(why(&head), Err(Refusal::HeaderNotSigned));
}

#[test]
fn a_signature_holds_for_five_minutes_by_either_clock() {
    let signed = |seconds: i64| {
        let at = now() + seconds.seconds();
        Client { at, ..Client::default() }.sign(request("GET", "/b", &[]), SignableBody::Bytes(b""))
    };
    for (seconds, right) in
        [(-300, true), (-301, false), (300, true), (301, false), (86_400, false)]
    {
        let expected = if right { Ok(()) } else { Err(Refusal::Skewed) };
        assert_eq!(admitted(&signed(seconds)).map(drop), expected, "{seconds}");
    }
    // This machine is an hour behind, and the client has learnt that from AWS.
    let policy = Policy { upstream_offset: SignedDuration::from_hours(1), ..policy() };
    for (seconds, right) in [(0, true), (3600, true), (1800, false), (3901, false), (-3600, false)]
    {
        let expected = if right { Ok(()) } else { Err(Refusal::Skewed) };
        let head = signed(seconds);
        let admitted = admit(&head, &policy, &Book(placeholder()));
        assert_eq!(admitted.map(drop), expected, "{seconds}");
    }
}

#[test]
fn a_url_holds_until_it_has_expired() {
    let signed = |seconds: i64| {
        let client = Client { in_url: true, at: now() + seconds.seconds(), ..Client::default() };
        client.sign(request("GET", "/b/k", &[]), SignableBody::UnsignedPayload)
    };
    for (seconds, expected) in [
        (0, Ok(())),
        (-900, Ok(())),
        (-901, Err(Refusal::Expired)),
        (300, Ok(())),
        (301, Err(Refusal::Skewed)),
    ] {
        assert_eq!(admitted(&signed(seconds)).map(drop), expected, "{seconds}");
    }
    let off = Policy { presigned: false, ..policy() };
    let refused = admit(&signed(0), &off, &Book(placeholder())).map(drop);
    assert_eq!(refused, Err(Refusal::Presigned));
    // Neither for ever, nor for no time.
    for expires in ["604801", "0", "-1", "1e3", "", "99999999999999999999"] {
        let head = signed(0);
        let uri =
            head.uri.to_string().replace("X-Amz-Expires=900", &format!("X-Amz-Expires={expires}"));
        let head = request("GET", &uri, &[("host", HOST)]).into_parts().0;
        assert_eq!(why(&head), Err(Refusal::Malformed), "{expires}");
    }
}

#[test]
fn a_placeholder_is_good_for_what_its_profile_allows() {
    let book = Book(Placeholder {
        services: Some(vec!["s3".to_owned()]),
        regions: Some(vec!["eu-west-1".to_owned()]),
        ..placeholder()
    });
    let signed = |service, region| {
        let client = Client { service, region, ..Client::default() };
        let head = client.sign(request("GET", "/", &[]), SignableBody::Bytes(b""));
        admit(&head, &policy(), &book).map(drop)
    };
    assert_eq!(signed("s3", "eu-west-1"), Ok(()));
    assert_eq!(signed("iam", "eu-west-1"), Err(Refusal::ServiceNotAllowed));
    assert_eq!(signed("s3", "us-east-1"), Err(Refusal::RegionNotAllowed));
    // What is no region or service at all: it would become a part of a host's name.
    for (service, region) in [
        ("s3", "evil.example"),
        ("s3", "us-east-1.evil"),
        ("s3", "us-east"),
        ("s3", "US-EAST-1"),
        ("s3", "eu--1"),
        ("s3", "x"),
        ("s3", "us-east-1a"),
        ("s3", "u-east-1"),
        ("s3.evil", "eu-west-1"),
        ("s3@evil", "eu-west-1"),
        ("", "eu-west-1"),
    ] {
        assert_eq!(signed(service, region), Err(Refusal::BadScope), "{service} {region}");
    }
    let all = Book(placeholder());
    for region in
        ["us-gov-west-1", "cn-north-1", "us-iso-east-1", "us-isob-east-1", "ap-southeast-10"]
    {
        let client = Client { region, ..Client::default() };
        let head = client.sign(request("GET", "/", &[]), SignableBody::Bytes(b""));
        assert!(admit(&head, &policy(), &all).is_ok(), "{region}");
    }
}

#[test]
fn a_foreign_host_is_refused_even_if_it_is_signed() {
    for host in
        ["evil.example", "127.0.0.1:25001", "127.0.0.1", "169.254.169.254", "s3.amazonaws.com"]
    {
        let head = put(&[("host", host)]);
        assert_eq!(why(&head), Err(Refusal::HostNotAllowed), "{host}");
    }
    let mut head = put(&[]);
    head.headers.insert("host", "localhost:25000".parse().unwrap());
    assert_eq!(why(&head), Err(Refusal::HostNotAllowed));
    // A host that is not signed at all.
    let head = put(&[]);
    let text = head.headers["authorization"].to_str().unwrap().replace("host;", "");
    let mut head = head.clone();
    head.headers.insert("authorization", text.parse().unwrap());
    assert_eq!(why(&head), Err(Refusal::HostNotSigned));
}

#[test]
fn placeholders_for_temporary_credentials_go_with_their_token() {
    let token = Some(SessionToken::new("placeholderTOKEN".to_owned()));
    let book = Book(Placeholder { token, ..placeholder() });
    let signed = |token, in_url| {
        let client = Client { token, in_url, ..Client::default() };
        let head = client.sign(request("GET", "/b/k", &[]), SignableBody::UnsignedPayload);
        let admitted = admit(&head, &policy(), &book)?;
        admitted.verify(&head, None, &SigningKeys::new())?;
        Ok(())
    };
    for in_url in [false, true] {
        assert_eq!(signed(Some("placeholderTOKEN"), in_url), Ok(()));
        assert_eq!(signed(Some("placeholderTOKENx"), in_url), Err(Refusal::WrongToken));
        assert_eq!(signed(None, in_url), Err(Refusal::WrongToken));
    }
}

#[test]
fn the_grammar_of_the_header_is_kept_to() {
    let head = put(&[]);
    let right = head.headers["authorization"].to_str().unwrap().to_owned();
    let with = |text: &str| {
        let mut head = head.clone();
        head.headers.insert("authorization", text.parse().unwrap());
        why(&head)
    };
    let (algorithm, fields) = right.split_once(' ').unwrap();
    let parts: Vec<_> = fields.split(", ").collect();
    let [credential, names, signature] = parts[..] else { panic!("{right}") };
    for good in [
        format!("{algorithm} {credential},{names},{signature}"),
        format!("{algorithm} {signature}, {credential},   {names}"),
        format!("{algorithm}   {fields} "),
    ] {
        assert_eq!(with(&good), Ok(()), "{good}");
    }
    let upper = signature.to_uppercase().replace("SIGNATURE=", "Signature=");
    let unsorted = names.replace("host;", "").replace("x-amz-date", "x-amz-date;host");
    for (bad, why) in [
        (format!("{algorithm} {credential}, {names}"), Refusal::Malformed),
        (format!("{algorithm} {credential}, {fields}"), Refusal::Malformed),
        (format!("{algorithm} {fields}, Other=1"), Refusal::Malformed),
        (format!("{algorithm} {fields},"), Refusal::Malformed),
        (algorithm.to_owned(), Refusal::Malformed),
        (format!("aws4-hmac-sha256 {fields}"), Refusal::Malformed),
        (format!("Bearer {fields}"), Refusal::Malformed),
        (format!("AWS4-ECDSA-P256-SHA256 {fields}"), Refusal::Asymmetric),
        (format!("AWS {ID}:c2lnbmF0dXJl"), Refusal::Version2),
        (right.replace("/aws4_request", ""), Refusal::Malformed),
        (right.replace("/aws4_request", "/aws4_request/x"), Refusal::Malformed),
        (right.replace("/aws4_request", "/aws5_request"), Refusal::Malformed),
        (right.replace("/2026", "/2o26"), Refusal::BadScope),
        (right.replace("/20261125", "/20261124"), Refusal::BadScope),
        (right.replace(ID, "a b"), Refusal::UnknownKey),
        (format!("{algorithm} {credential}, {names}, {upper}"), Refusal::Malformed),
        (format!("{algorithm} {credential}, {unsorted}, {signature}"), Refusal::Malformed),
        (right.replace("host;", "host;host;"), Refusal::Malformed),
        (right.replace("host;", "Host;"), Refusal::Malformed),
        (right.replace("host;", "host;;"), Refusal::Malformed),
        (right.replace("host;", ":path;host;"), Refusal::Malformed),
        (right[..right.len() - 1].to_owned(), Refusal::Malformed),
    ] {
        assert_eq!(with(&bad), Err(why), "{bad}");
    }
}

#[test]
fn a_date_alone_is_as_good_as_amazons_own() {
    // botocore signs `date` if the caller has set one; the text that is signed has the other form.
    let signed = |date: &str, names: &str| {
        use rotakey_core::credential::SecretAccessKey;
        use rotakey_endpoint::proxy::canonical::Canonical;
        use rotakey_endpoint::proxy::key::{Scope, SigningKey};
        let [day, region, service] = ["20261125", "eu-west-1", "dynamodb"].map(str::to_owned);
        let scope = Scope { day, region, service };
        let mut request = request("GET", "/", &[("host", HOST), ("date", date)]);
        let canonical = Canonical {
            method: "GET",
            path: b"/",
            style: rotakey_endpoint::proxy::uri::PathStyle::Twice,
            query: b"",
            headers: request.headers(),
            authority: None,
            signed_headers: names,
            payload: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        };
        let key =
            SigningKey::derive(&SecretAccessKey::new(super::world::SECRET.to_owned()), &scope);
        let text = format!("AWS4-HMAC-SHA256\n20261125T120100Z\n{scope}\n{}", canonical.hash());
        let signature = String::from_utf8(key.sign(&[text.as_bytes()]).to_vec()).unwrap();
        let text = format!(
            "AWS4-HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        request.headers_mut().insert("authorization", text.parse().unwrap());
        let head = request.into_parts().0;
        let verified = verified(&head, b"")?;
        let signed = resigned(&head, &verified, &real());
        assert!(!signed.headers.contains_key("date"));
        assert_eq!(signed.headers["x-amz-date"], "20261125T120000Z");
        let text = signed.headers["authorization"].to_str().unwrap();
        assert!(text.contains("SignedHeaders=host;x-amz-date,"), "{text}");
        Ok(())
    };
    assert_eq!(signed("Wed, 25 Nov 2026 12:01:00 GMT", "date;host"), Ok(()));
    assert_eq!(signed("20261125T120100Z", "date;host"), Ok(()));
    assert_eq!(signed("Wed, 25 Nov 2026 12:01:00 GMT", "host"), Err(Refusal::HeaderNotSigned));
    assert_eq!(signed("Wed, 25 Nov 2026 12:11:00 GMT", "date;host"), Err(Refusal::Skewed));
    assert_eq!(signed("yesterday", "date;host"), Err(Refusal::Malformed));
}

#[test]
fn one_request_has_one_signature() {
    let client = Client { in_url: true, ..Client::default() };
    let url =
        client.sign(request("GET", "/b/k", &[]), SignableBody::UnsignedPayload).uri.to_string();
    let both = put(&[]).headers["authorization"].clone();
    let mut head = request("GET", &url, &[("host", HOST)]).into_parts().0;
    assert_eq!(why(&head), Ok(()));
    head.headers.insert("authorization", both);
    assert_eq!(why(&head), Err(Refusal::SignedTwice));
    for (more, expected) in [
        ("&X-Amz-Signature=0", Refusal::Malformed),
        ("&x-amz-signature=0", Refusal::Malformed),
        ("&X-Amz-Date=20261125T120000Z", Refusal::Malformed),
        ("&AWSAccessKeyId=a&Signature=b&Expires=1", Refusal::SignedTwice),
        ("&X-Amz-Security-Token=t", Refusal::WrongSignature),
        ("&x-amz-security-token=t", Refusal::WrongSignature),
    ] {
        let head = request("GET", &format!("{url}{more}"), &[("host", HOST)]).into_parts().0;
        assert_eq!(why(&head), Err(expected), "{more}");
    }
}

#[test]
fn ways_to_sign_bodies_that_are_not_known_are_refused() {
    for text in [
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        "unsigned-payload",
        "required",
        "",
        &"A".repeat(64),
    ] {
        let client = Client::default();
        let head =
            client.sign(request("PUT", "/b/k", &[]), SignableBody::Precomputed(text.to_owned()));
        assert_eq!(why(&head), Err(Refusal::PayloadMode), "{text}");
    }
}

/// No refusal tells what would have been right.
#[test]
fn refusals_hold_nothing_of_the_request() {
    let head = put(&[]);
    let guess = Client { secret: "wrong", ..Client::default() };
    let wrong = guess.sign(request("PUT", "/b/k", &[]), SignableBody::Bytes(b"abc"));
    let why = verified(&wrong, b"abc").unwrap_err();
    for protocol in
        [Protocol::S3, Protocol::Xml, Protocol::Ec2, Protocol::Json("1.0"), Protocol::Cbor]
    {
        let text = format!("{:?}", why.answer(protocol, "1"));
        let right = head.headers["authorization"].to_str().unwrap();
        assert!(!text.contains(&right[right.len() - 64..]) && !text.contains("SECRET"), "{text}");
    }
    let all = format!("{:?} {:?}", admitted(&head), verified(&head, b"abc"));
    let signature = head.headers["authorization"].to_str().unwrap().rsplit('=').next().unwrap();
    assert!(!all.contains(signature) && !all.contains("SECRETplaceholder"), "{all}");
}
