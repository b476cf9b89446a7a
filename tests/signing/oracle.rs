//! Against `aws-sigv4`: whatever it signs is verified, whatever is changed after that is not; and what goes out has the
//! signature that it would make. Where the two differ stands in `where_aws_sigv4_is_not_right`.

use aws_sigv4::http_request::SignableBody;
use proptest::collection::vec;
use proptest::prelude::*;
use rotakey_endpoint::proxy::refusal::Refusal;

use super::world::{Client, HOST, admitted, real, real_session, request, resigned, verified};

/// A path that S3 takes for a key, encoded as it is sent: `aws-sigv4` wants it encoded already.
fn s3_path() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![
            "[a-zA-Z0-9_.~-]{0,8}",
            "(%20|%2B|%C3%A4|%28|%29|%25|%3D|%26)",
            Just("..".to_owned())
        ],
        1..6,
    )
    .prop_map(|parts| format!("/{}", parts.join("/")))
}

/// Any path of another service.
fn other_path() -> impl Strategy<Value = String> {
    vec(prop_oneof!["[a-zA-Z0-9_.~@:-]{0,8}", "(%20|%2f|%3A|%C3%A4)", Just("..".to_owned())], 0..5)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

/// Without a bare `+`, or bytes that are no text.
fn query() -> impl Strategy<Value = String> {
    let word = || prop_oneof!["[a-zA-Z0-9_.~-]{1,6}", "(%20|%2B|%2f|%26|%3D|%C3%A4)"];
    let pair = (word(), proptest::option::of(prop_oneof![word(), Just(String::new())]));
    vec(pair, 0..5).prop_map(|pairs| {
        let pairs = pairs.iter().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        });
        pairs.collect::<Vec<_>>().join("&")
    })
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        "x-amz-meta-[a-z]{1,3}",
        Just("content-type".to_owned()),
        Just("range".to_owned()),
        "x-other-[a-z]",
    ];
    vec((name, "[!-~]([ -~]{0,12}[!-~])?"), 0..5).prop_map(|mut all| {
        all.sort();
        all.dedup_by(|one, next| one.0 == next.0 && !one.0.starts_with("x-amz-meta"));
        all
    })
}

#[derive(Clone, Debug)]
struct Case {
    method: &'static str,
    service: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    in_url: bool,
}

impl Case {
    fn request(&self) -> http::Request<()> {
        let headers = self.headers.iter().map(|(name, value)| (&**name, &**value));
        request(self.method, &self.target, &headers.collect::<Vec<_>>())
    }

    fn client(&self) -> Client<'static> {
        Client { service: self.service, in_url: self.in_url, ..Client::default() }
    }

    fn payload(&self) -> SignableBody<'_> {
        match (self.service, self.in_url) {
            ("s3", true) => SignableBody::UnsignedPayload,
            _ => SignableBody::Bytes(&self.body),
        }
    }
}

fn case() -> impl Strategy<Value = Case> {
    let paths = prop_oneof![
        (s3_path(), Just("s3")),
        (other_path(), Just("lambda")),
        (Just("/".to_owned()), Just("dynamodb"))
    ];
    let method = prop_oneof![Just("GET"), Just("PUT"), Just("POST"), Just("DELETE")];
    let body = vec(any::<u8>(), 0..100);
    (method, paths, query(), headers(), body, any::<bool>()).prop_map(
        |(method, (path, service), query, headers, body, in_url)| {
            let target = if query.is_empty() { path } else { format!("{path}?{query}") };
            Case { method, service, target, headers, body, in_url }
        },
    )
}

fn settings() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn what_aws_sigv4_signs_is_verified(case in case()) {
        let head = case.client().sign(case.request(), case.payload());
        let verified = verified(&head, &case.body);
        prop_assert!(verified.is_ok(), "{verified:?} {head:?}");
    }

    #[test]
    fn what_is_changed_after_that_is_not(case in case(), change in 0..5_usize) {
        let mut head = case.client().sign(case.request(), case.payload());
        let mut body = case.body.clone();
        match change {
            0 => head.method = if head.method == "PUT" { "POST" } else { "PUT" }.parse().unwrap(),
            1 => {
                let (path, query) = (head.uri.path(), head.uri.query());
                let query = query.map_or(String::new(), |query| format!("?{query}"));
                head.uri = format!("{path}x{query}").parse().unwrap();
            }
            2 => {
                let mark = if head.uri.query().is_some() { '&' } else { '?' };
                head.uri = format!("{}{mark}changed=1", head.uri).parse().unwrap();
            }
            3 => {
                let name = head.headers.keys().find(|name| name.as_str().starts_with("x-amz-meta")).cloned();
                let name = name.unwrap_or(http::header::CONTENT_TYPE);
                let is_signed = head.headers.contains_key(&name);
                head.headers.insert(name, "changed".parse().unwrap());
                prop_assume!(is_signed);
            }
            _ => {
                // Only where its hash is not given is the body a part of what is signed.
                prop_assume!(case.service != "s3");
                body.push(0);
            }
        }
        let verified = verified(&head, &body).map(drop);
        prop_assert_eq!(verified, Err(Refusal::WrongSignature));
    }

    /// Takes what we signed, gives `aws-sigv4` the headers that we signed, and compares.
    #[test]
    fn what_goes_out_is_what_aws_sigv4_would_sign(case in case(), is_session in any::<bool>()) {
        let head = case.client().sign(case.request(), case.payload());
        let verified = verified(&head, &case.body).unwrap();
        let with = if is_session { real_session() } else { real() };
        let signed = resigned(&head, &verified, &with);
        let authorization = signed.headers["authorization"].to_str().unwrap();
        let names = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
        let own = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
        let mut request = request(case.method, signed.target.as_str(), &[]);
        let mut payload = None;
        for name in names.split(';') {
            let values = signed.headers.get_all(name);
            if name == "x-amz-content-sha256" {
                payload = Some(signed.headers[name].to_str().unwrap().to_owned());
            }
            for value in values.iter().filter(|_| !own.contains(&name)) {
                request.headers_mut().append(http::HeaderName::try_from(name).unwrap(), value.clone());
            }
        }
        let body = match payload {
            Some(text) => SignableBody::Precomputed(text),
            None => SignableBody::Bytes(&case.body),
        };
        let token = with.session_token.as_ref().map(|token| token.expose());
        let aws = Client {
            id: with.access_key_id.as_str(),
            secret: with.secret_access_key.expose(),
            token,
            service: case.service,
            ..Client::default()
        };
        let theirs = aws.sign(request, body);
        prop_assert_eq!(theirs.headers["authorization"].to_str().unwrap(), authorization);
    }
}

/// Bytes that a client may send, and that `aws-sigv4` signs differently from how AWS reads them. If one of these fails
/// after an update, it has been put right there, and `proxy/canonical.rs` should say so.
#[test]
fn where_aws_sigv4_is_not_right() {
    let get = |target: &str, service| {
        let client = Client { service, ..Client::default() };
        let head = client.sign(request("GET", target, &[]), SignableBody::Bytes(b""));
        verified(&head, b"").map(drop)
    };
    let wrong = Err(Refusal::WrongSignature);
    // A byte that is no text is signed as U+FFFD.
    assert_eq!(get("/b?prefix=%FF", "s3"), wrong);
    // `+` is signed as a space. Clients who mean a space write `%20`; who mean `+`, `%2B`.
    assert_eq!(get("/b?prefix=a+b", "s3"), wrong);
    // S3 decodes and encodes again; it signs the path as it stands.
    assert_eq!(get("/b/a%2fb", "s3"), wrong);
    assert_eq!(get("/b/(a)", "s3"), wrong);
    // And the same where nothing is odd.
    assert_eq!(get("/b/%28a%29?prefix=%C3%A4%2B", "s3"), Ok(()));
    assert_eq!(get("/f/arn%3Aaws", "lambda"), Ok(()));
}

/// A value of bytes that are no text cannot even be given to it.
#[test]
fn headers_that_are_no_text_are_signed_as_they_are() {
    let plain = request("PUT", "/b/k", &[("x-amz-meta-a", "1")]);
    let head = Client::default().sign(plain, SignableBody::Bytes(b""));
    let verified = verified(&head, b"").unwrap();
    let mut odd = head.clone();
    let value = http::HeaderValue::from_bytes(b"\xff  \xfe").unwrap();
    odd.headers.insert("x-amz-meta-a", value.clone());
    // Not what the client signed; but what is signed for AWS are the bytes that go out.
    let signed = resigned(&odd, &verified, &real());
    assert_eq!(signed.headers["x-amz-meta-a"], value);
    assert_ne!(
        signed.headers["authorization"],
        resigned(&head, &verified, &real()).headers["authorization"]
    );
}

/// Over HTTP/2 there is no `Host`; some SDKs sign `:authority`.
#[test]
fn the_authority_of_http_2_may_be_signed() {
    let get = |name: &str| {
        // `aws-sigv4` cannot sign it, so this takes the canonicalizer.
        use rotakey_core::credential::SecretAccessKey;
        use rotakey_endpoint::proxy::canonical::Canonical;
        use rotakey_endpoint::proxy::key::{Scope, SigningKey};
        let scope = Scope {
            day: "20261125".to_owned(),
            region: "eu-west-1".to_owned(),
            service: "kinesis".to_owned(),
        };
        let mut request =
            request("POST", &format!("http://{HOST}/"), &[("x-amz-date", "20261125T120000Z")]);
        *request.version_mut() = http::Version::HTTP_2;
        let names = format!("{name};x-amz-date");
        let canonical = Canonical {
            method: "POST",
            path: b"/",
            style: rotakey_endpoint::proxy::uri::PathStyle::Twice,
            query: b"",
            headers: request.headers(),
            authority: Some(HOST),
            signed_headers: &names,
            payload: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        };
        let text = String::from_utf8(canonical.text()).unwrap();
        assert!(text.contains(&format!("\n{name}:{HOST}\n")), "{text}");
        let key =
            SigningKey::derive(&SecretAccessKey::new(super::world::SECRET.to_owned()), &scope);
        let text = format!("AWS4-HMAC-SHA256\n20261125T120000Z\n{scope}\n{}", canonical.hash());
        let signature = String::from_utf8(key.sign(&[text.as_bytes()]).to_vec()).unwrap();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            super::world::ID
        );
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        let head = request.into_parts().0;
        let verified = verified(&head, b"").unwrap();
        resigned(&head, &verified, &real()).headers["authorization"].to_str().unwrap().to_owned()
    };
    for name in [":authority", "host"] {
        assert!(get(name).contains("SignedHeaders=host;x-amz-date,"), "{name}");
    }
    assert!(admitted(&request("GET", "/", &[("host", HOST)]).into_parts().0).is_err());
}
