//! The adapter against a server that misbehaves by script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, SecretAccessKey};
use rotakey_core::iam::{Doubt, Outcome, RefusalClass};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::aws::{AwsKeyService, Endpoints, iam_region};
use super::{AssumeRole, KeyService, Mfa, MfaCode, Temporary};

#[derive(Clone, Copy)]
enum Act {
    Answer(u16, &'static str),
    Hang,
    Drop,
    Truncate,
}

const DATE: &str = "Tue, 01 Dec 2026 10:00:00 GMT";
const LIST: &str = "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata><member>\
    <UserName>app</UserName><AccessKeyId>AKIAEXAMPLE1</AccessKeyId><Status>Active</Status>\
    <CreateDate>2026-11-01T00:00:00.123456Z</CreateDate></member></AccessKeyMetadata>\
    <IsTruncated>false</IsTruncated></ListAccessKeysResult></ListAccessKeysResponse>";
const CREATED: &str = "<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey>\
    <UserName>app</UserName><AccessKeyId>AKIAEXAMPLE2</AccessKeyId><Status>Active</Status>\
    <SecretAccessKey>made/up+secret</SecretAccessKey><CreateDate>2026-12-01T10:00:00Z</CreateDate>\
    </AccessKey></CreateAccessKeyResult></CreateAccessKeyResponse>";
const NEVER_USED: &str = "<GetAccessKeyLastUsedResponse><GetAccessKeyLastUsedResult>\
    <AccessKeyLastUsed><Region>N/A</Region><ServiceName>N/A</ServiceName></AccessKeyLastUsed>\
    </GetAccessKeyLastUsedResult></GetAccessKeyLastUsedResponse>";

/// Serves `act` to every connection; the requests seen are kept.
async fn serve(act: Act) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            // `Version` is near the start of every body: enough to know that the request came.
            while !String::from_utf8_lossy(&request).contains("Version=") {
                let mut part = [0; 4096];
                let count = stream.read(&mut part).await.expect("to read");
                if count == 0 {
                    break;
                }
                request.extend_from_slice(&part[..count]);
            }
            log.lock().expect("the log").push(String::from_utf8_lossy(&request).into_owned());
            let (status, body, length) = match act {
                Act::Answer(status, body) => (status, body, body.len()),
                Act::Truncate => (200, &CREATED[..60], CREATED.len()),
                Act::Drop => continue,
                Act::Hang => {
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        drop(stream);
                    });
                    continue;
                }
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\nDate: {DATE}\r\nContent-Type: text/xml\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(head.as_bytes()).await;
        }
    });
    (url, seen)
}

fn service(url: &str) -> AwsKeyService {
    let endpoints = Endpoints { iam: Some(url.to_owned()), sts: Some(url.to_owned()) };
    let timeout = Duration::from_millis(700);
    AwsKeyService::new(endpoints, "eu-west-1".to_owned(), timeout, || Timestamp::UNIX_EPOCH)
}

fn signer() -> Credentials {
    Credentials::long_term(
        "AKIAEXAMPLE1".parse().expect("an id"),
        SecretAccessKey::new("hunter2".to_owned()),
    )
}

#[tokio::test]
async fn a_lost_create_is_unknown_and_was_sent_once() {
    let faults = [
        Act::Hang,
        Act::Drop,
        Act::Truncate,
        Act::Answer(500, "<html>oops</html>"),
        Act::Answer(
            503,
            "<ErrorResponse><Error><Code>ServiceFailure</Code></Error></ErrorResponse>",
        ),
        Act::Answer(200, "not xml"),
    ];
    for (index, act) in faults.into_iter().enumerate() {
        let (url, seen) = serve(act).await;
        let outcome = service(&url).create_access_key(&signer(), "app", "r1").await;
        let Outcome::Unknown(Doubt { sent: true, reason }) = outcome else {
            panic!("fault {index}: {outcome:?}");
        };
        assert!(!reason.contains("hunter2"), "{reason}");
        // Time enough for a second request, were there one.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(seen.lock().expect("the log").len(), 1, "fault {index}");

        let list = service(&url).list_access_keys(&signer(), "app").await;
        assert!(matches!(list, Outcome::Unknown(Doubt { sent: true, .. })), "{index}: {list:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_was_never_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let outcome = service(&url).create_access_key(&signer(), "app", "r1").await;
    assert!(matches!(outcome, Outcome::Unknown(Doubt { sent: false, .. })), "{outcome:?}");
}

#[tokio::test]
async fn both_error_shapes_are_refusals() {
    let shapes = [
        "<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>",
        "<ErrorResponse><Errors><Error><Code>InvalidClientTokenId</Code></Error></Errors></ErrorResponse>",
    ];
    for body in shapes {
        let (url, _) = serve(Act::Answer(403, body)).await;
        let outcome = service(&url).list_access_keys(&signer(), "app").await;
        let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
        assert_eq!(refusal.class, RefusalClass::KeyUnknown);
        let outcome = service(&url).caller_identity(&signer(), "eu-west-1").await;
        let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
        assert_eq!(refusal.class, RefusalClass::KeyUnknown);
    }
}

#[tokio::test]
async fn good_answers_are_read() {
    let (url, seen) = serve(Act::Answer(200, CREATED)).await;
    let outcome = service(&url).create_access_key(&signer(), "app", "r1").await;
    let Outcome::Done(key) = outcome else { panic!("{outcome:?}") };
    assert_eq!(key.credentials.secret_access_key.expose(), "made/up+secret");
    let request = seen.lock().expect("the log")[0].clone();
    assert!(request.contains("app/rotakey-r1"), "{request}");
    assert!(request.contains("/us-east-1/iam/aws4_request"), "{request}");

    let (url, _) = serve(Act::Answer(200, LIST)).await;
    let outcome = service(&url).list_access_keys(&signer(), "app").await;
    let Outcome::Done(list) = outcome else { panic!("{outcome:?}") };
    assert_eq!(list.server_time.to_string(), "2026-12-01T10:00:00Z");
    assert_eq!(list.keys[0].created.to_string(), "2026-11-01T00:00:00Z");

    let (url, _) = serve(Act::Answer(200, NEVER_USED)).await;
    let id = "AKIAEXAMPLE1".parse().expect("an id");
    assert_eq!(service(&url).access_key_last_used(&signer(), &id).await, Outcome::Done(None));
}

#[test]
fn iam_is_signed_for_its_partition() {
    for (region, signing) in [
        ("eu-west-1", "us-east-1"),
        ("cn-northwest-1", "cn-north-1"),
        ("us-gov-east-1", "us-gov-west-1"),
        ("us-isob-east-1", "us-isob-east-1"),
    ] {
        assert_eq!(iam_region(region), signing);
    }
}

/// An answer of STS with these parts.
fn made(action: &str, token: &str) -> &'static str {
    Box::leak(
        format!(
            "<{action}Response><{action}Result><Credentials><AccessKeyId>ASIAEXAMPLE1</AccessKeyId>\
             <SecretAccessKey>made/up+secret</SecretAccessKey>{token}\
             <Expiration>2026-12-01T11:00:00.5Z</Expiration></Credentials></{action}Result></{action}Response>"
        )
        .into_boxed_str(),
    )
}

fn role(mfa: Option<Mfa>) -> AssumeRole {
    AssumeRole {
        role_arn: "arn:aws:iam::123456789012:role/r".to_owned(),
        session_name: "me@home".to_owned(),
        external_id: Some("ours:1".to_owned()),
        duration: Duration::from_secs(900),
        mfa,
    }
}

#[tokio::test]
async fn sts_is_asked_for_what_is_wanted_and_its_answer_is_taken_whole() {
    let token = "<SessionToken>the/token=</SessionToken>";
    let mfa = Mfa { serial: "mfa/app".to_owned(), code: MfaCode::new("123456").expect("a code") };
    let whole = |outcome| match outcome {
        Outcome::Done(Temporary { credentials, expires }) => {
            let token = credentials.session_token.expect("a token");
            assert_eq!(token.expose(), "the/token=");
            assert_eq!(credentials.secret_access_key.expose(), "made/up+secret");
            assert_eq!(expires.to_string(), "2026-12-01T11:00:00Z");
        }
        other => panic!("{other:?}"),
    };
    let (url, seen) = serve(Act::Answer(200, made("GetSessionToken", token))).await;
    let hour = Duration::from_secs(3600);
    whole(service(&url).get_session_token(&signer(), "eu-west-1", hour, Some(&mfa)).await);
    whole(service(&url).get_session_token(&signer(), "eu-west-1", hour, None).await);
    let seen = seen.lock().expect("the log").clone();
    assert!(seen[0].contains("/eu-west-1/sts/aws4_request"), "{seen:?}");
    for part in ["DurationSeconds=3600", "SerialNumber=mfa%2Fapp", "TokenCode=123456"] {
        assert!(seen[0].contains(part), "{part}: {}", seen[0]);
    }
    assert!(!seen[1].contains("SerialNumber") && !seen[1].contains("TokenCode"), "{}", seen[1]);

    let (url, seen) = serve(Act::Answer(200, made("AssumeRole", token))).await;
    whole(service(&url).assume_role(&signer(), "eu-west-1", &role(Some(mfa))).await);
    let seen = seen.lock().expect("the log").clone();
    for part in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr",
        "RoleSessionName=me%40home",
        "ExternalId=ours%3A1",
        "DurationSeconds=900",
        "TokenCode=123456",
    ] {
        assert!(seen[0].contains(part), "{part}: {}", seen[0]);
    }
}

#[tokio::test]
async fn an_answer_of_sts_without_a_token_or_none_at_all_is_unknown() {
    let hour = Duration::from_secs(3600);
    for act in [
        Act::Answer(200, made("GetSessionToken", "<SessionToken></SessionToken>")),
        Act::Answer(200, made("GetSessionToken", "")),
        Act::Answer(200, made("AssumeRole", "<SessionToken></SessionToken>")),
        Act::Answer(200, "<GetSessionTokenResponse></GetSessionTokenResponse>"),
        Act::Hang,
        Act::Drop,
    ] {
        let (url, seen) = serve(act).await;
        let session = service(&url).get_session_token(&signer(), "eu-west-1", hour, None).await;
        assert!(matches!(session, Outcome::Unknown(Doubt { sent: true, .. })), "{session:?}");
        let session = service(&url).assume_role(&signer(), "eu-west-1", &role(None)).await;
        assert!(matches!(session, Outcome::Unknown(Doubt { sent: true, .. })), "{session:?}");
        assert_eq!(seen.lock().expect("the log").len(), 2, "each is sent once");
    }
    let body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>MultiFactorAuthentication \
                failed with invalid MFA one time pass code.</Message></Error></ErrorResponse>";
    let (url, _) = serve(Act::Answer(403, body)).await;
    let refused = service(&url).assume_role(&signer(), "eu-west-1", &role(None)).await;
    let Outcome::Refused(refusal) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.class, RefusalClass::Permission);
}
