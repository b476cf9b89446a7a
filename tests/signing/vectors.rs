//! The signing test suite of AWS, as `aws-sigv4` ships it. It is found where cargo has it; if it is not there, that is a
//! failure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use jiff::SignedDuration;
use rotakey_core::credential::{SecretAccessKey, SessionToken};
use rotakey_endpoint::proxy::canonical::Canonical;
use rotakey_endpoint::proxy::key::{Scope, SigningKey, SigningKeys};
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::uri::PathStyle;
use rotakey_endpoint::proxy::verify::{Placeholder, Policy, admit, hash};

use super::world::Book;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Fewer than there are in version 1.6.4 would mean that they were not found.
const VECTORS_MIN: usize = 38;

fn suite() -> &'static Path {
    static SUITE: OnceLock<PathBuf> = OnceLock::new();
    SUITE.get_or_init(|| {
        let said = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
            let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        // What other platforms need was never downloaded.
        let compiler = said("rustc", &["-vV"]);
        let host = compiler.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let arguments = ["metadata", "--format-version", "1", "--locked", "--offline"];
        let metadata = said(&cargo, &[&arguments[..], &["--filter-platform", host]].concat());
        let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        let found = packages.iter().find(|package| package["name"] == "aws-sigv4");
        let manifest = found.expect("aws-sigv4 is a dependency")["manifest_path"].as_str().unwrap();
        let suite = Path::new(manifest).with_file_name("aws-signing-test-suite").join("v4");
        assert!(suite.is_dir(), "{} is absent: aws-sigv4 ships no vectors", suite.display());
        suite
    })
}

struct Vector {
    name: String,
    normalize: bool,
    token: Option<String>,
}

impl Vector {
    fn text(&self, file: &str) -> String {
        let path = suite().join(&self.name).join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// All that have a description.
fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(suite()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Ok(text) = std::fs::read_to_string(path.join("context.json")) else { continue };
        let context: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(context["credentials"]["secret_access_key"], SECRET, "{name}");
        let token = context["credentials"]["token"].as_str().map(str::to_owned);
        all.push(Vector { name, normalize: context["normalize"] == true, token });
    }
    assert!(all.len() >= VECTORS_MIN, "only {} vectors in {}", all.len(), suite().display());
    all
}

/// A request as text, in bytes that `http` might not take.
struct Raw {
    method: String,
    path: Vec<u8>,
    query: Vec<u8>,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn read(text: &str) -> Raw {
    let text = text.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    // A line that starts with a space goes on from the one before (RFC 9112, section 5.2, until it was taken away).
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => *last += line,
            _ => lines.push(line.to_owned()),
        }
    }
    let (method, rest) = lines[0].split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    for line in &lines[1..] {
        let (name, value) = line.split_once(':').unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let [path, query, body] = [path, query, body].map(|part| part.as_bytes().to_vec());
    Raw { method: method.to_owned(), path, query, headers, body }
}

#[test]
fn every_vector_has_the_canonical_request_the_text_and_the_signature_that_it_says() {
    let scope = Scope {
        day: "20150830".to_owned(),
        region: "us-east-1".to_owned(),
        service: "service".to_owned(),
    };
    let key = SigningKey::derive(&SecretAccessKey::new(SECRET.to_owned()), &scope);
    let mut seen = 0;
    for vector in vectors() {
        for form in ["header", "query"] {
            let name = format!("{} in the {form}", vector.name);
            let canonical = vector.text(&format!("{form}-canonical-request.txt"));
            let mut lines = canonical.rsplit('\n');
            let (payload, signed_headers) = (lines.next().unwrap(), lines.next().unwrap());
            let mut raw = read(&vector.text(&format!("{form}-signed-request.txt")));
            if vector.name == "post-sts-header-after" && form == "query" {
                // Its token was added to the URL after it was signed; only AWS IoT does so.
                let query = String::from_utf8(raw.query).unwrap();
                let kept =
                    query.split('&').filter(|pair| !pair.starts_with("X-Amz-Security-Token"));
                raw.query = kept.collect::<Vec<_>>().join("&").into_bytes();
            }
            let style = if vector.normalize { PathStyle::Twice } else { PathStyle::TwiceAsSent };
            let made = Canonical {
                method: &raw.method,
                path: &raw.path,
                style,
                query: &raw.query,
                headers: &raw.headers,
                authority: None,
                signed_headers,
                payload,
            };
            assert_eq!(String::from_utf8(made.text()).unwrap(), canonical, "{name}");
            let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{}", made.hash());
            assert_eq!(text, vector.text(&format!("{form}-string-to-sign.txt")), "{name}");
            let signature = key.sign(&[text.as_bytes()]);
            let right = vector.text(&format!("{form}-signature.txt"));
            assert_eq!(signature.as_slice(), right.trim().as_bytes(), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 2 * VECTORS_MIN, "{seen}");
}

/// As a request that came in, from its first header to its signature.
#[test]
fn every_vector_is_verified_as_a_request() {
    let mut refused = Vec::new();
    for vector in vectors() {
        for form in ["header", "query"] {
            let raw = read(&vector.text(&format!("{form}-signed-request.txt")));
            let target = [&raw.path[..], b"?", &raw.query].concat();
            // A bare space or bytes beyond ASCII may be no URI; hyper would not let them in either.
            let Ok(target) = http::uri::PathAndQuery::try_from(&target[..]) else {
                refused.push((vector.name.clone(), form, None));
                continue;
            };
            let mut request =
                http::Request::builder().method(&*raw.method).uri(target).body(()).unwrap();
            *request.headers_mut() = raw.headers;
            let head = request.into_parts().0;
            let secret = SecretAccessKey::new(SECRET.to_owned());
            let book = Book(Placeholder {
                id: "AKIDEXAMPLE".parse().unwrap(),
                secret,
                token: vector.token.clone().map(SessionToken::new),
                ..super::world::placeholder()
            });
            let policy = Policy {
                now: "2015-08-30T12:36:10Z".parse().unwrap(),
                upstream_offset: SignedDuration::ZERO,
                is_host: &|host| host == "example.amazonaws.com",
                presigned: true,
                version_2_region: None,
            };
            let admitted = admit(&head, &policy, &book);
            let verified = admitted
                .and_then(|it| it.verify(&head, Some(hash(&raw.body)), &SigningKeys::new()));
            if let Err(why) = verified {
                refused.push((vector.name.clone(), form, Some(why)));
            }
        }
    }
    refused.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    let refused: Vec<_> = refused.iter().map(|(name, form, why)| (&**name, *form, *why)).collect();
    assert_eq!(
        refused,
        [
            ("get-space-normalized", "header", None),
            ("get-space-normalized", "query", None),
            ("get-space-unnormalized", "header", None),
            ("get-space-unnormalized", "query", None),
            // The token was added after signing: AWS refuses these two as well, but for IoT.
            ("post-sts-header-after", "header", Some(Refusal::HeaderNotSigned)),
            ("post-sts-header-after", "query", Some(Refusal::WrongSignature)),
        ]
    );
}
