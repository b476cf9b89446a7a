//! The HTTP front, met through the AWS SDK.
#![allow(clippy::disallowed_methods, reason = "a test on the real clock")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_iam::config::retry::RetryConfig;
use aws_sdk_iam::config::timeout::TimeoutConfig;
use aws_sdk_iam::config::{BehaviorVersion, Region};
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Builder;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{CONTROL_PATH, Server, Simulator};

async fn control(server: &Server, command: Value) -> Value {
    let (body, host) = (command.to_string(), server.addr());
    let mut stream = TcpStream::connect(host).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {CONTROL_PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn iam(server: &Server, id: &str, secret: &str) -> aws_sdk_iam::Client {
    let timeout = TimeoutConfig::builder().operation_timeout(Duration::from_millis(500)).build();
    let config = aws_sdk_iam::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.endpoint_url())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .http_client(Builder::new().build_http())
        .sleep_impl(TokioSleep::new())
        .timeout_config(timeout)
        .retry_config(RetryConfig::disabled());
    aws_sdk_iam::Client::from_conf(config.build())
}

fn sts(server: &Server, id: &str, secret: &str) -> aws_sdk_sts::Client {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.endpoint_url())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .http_client(Builder::new().build_http())
        .sleep_impl(TokioSleep::new())
        .retry_config(RetryConfig::disabled());
    aws_sdk_sts::Client::from_conf(config.build())
}

#[tokio::test]
async fn the_sdk_takes_it_for_aws() {
    let simulator = Arc::new(Mutex::new(Simulator::default()));
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(simulator, Timestamp::now, listen).await.unwrap();
    control(&server, json!({"op": "create-user", "user": "app"})).await;
    let key = control(&server, json!({"op": "create-key", "user": "app"})).await;
    let id = key["access_key_id"].as_str().unwrap();
    let secret = key["secret_access_key"].as_str().unwrap();

    let identity = sts(&server, id, secret).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.arn(), Some("arn:aws:iam::123456789012:user/app"));
    let wrong = sts(&server, id, "wrong").get_caller_identity().send().await.unwrap_err();
    assert_eq!(wrong.code(), Some("SignatureDoesNotMatch"));
    let unknown = sts(&server, "AKIANOBODY", "x").get_caller_identity().send().await.unwrap_err();
    assert_eq!(unknown.code(), Some("InvalidClientTokenId"));

    let iam = iam(&server, id, secret);
    let made = iam.create_access_key().user_name("app").send().await.unwrap();
    let made = made.access_key().unwrap();
    sts(&server, made.access_key_id(), made.secret_access_key())
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    let third = iam.create_access_key().send().await.unwrap_err();
    assert_eq!(third.code(), Some("LimitExceeded"));
    let delete = |id: &str| iam.delete_access_key().user_name("app").access_key_id(id).send();
    delete(made.access_key_id()).await.unwrap();
    let again = delete(made.access_key_id()).await.unwrap_err();
    assert!(again.into_service_error().is_no_such_entity_exception());

    for kind in ["lost", "truncated", "hung"] {
        let fault = json!({"op": "fault", "action": "CreateAccessKey", "kind": kind});
        control(&server, fault).await;
        let lost = iam.create_access_key().send().await.unwrap_err();
        assert!(lost.as_service_error().is_none(), "{kind}: {lost:?}");
        let listed = iam.list_access_keys().send().await.unwrap();
        let keys = listed.access_key_metadata();
        assert_eq!(keys.len(), 2, "{kind}");
        delete(keys[1].access_key_id().unwrap()).await.unwrap();
    }

    let last = iam.get_access_key_last_used().access_key_id(id).send().await.unwrap();
    assert!(last.access_key_last_used().unwrap().last_used_date().is_some());
    let tag = aws_sdk_iam::types::Tag::builder().key("k/1").value("a b&<").build().unwrap();
    iam.tag_user().user_name("app").tags(tag).send().await.unwrap();
    let tags = iam.list_user_tags().user_name("app").send().await.unwrap();
    assert_eq!(tags.tags()[0].value(), "a b&<");
    assert_eq!(iam.list_users().send().await.unwrap().users()[0].user_name(), "app");
    control(&server, json!({"op": "quarantine", "user": "app"})).await;
    let refused = iam.create_access_key().send().await.unwrap_err();
    assert!(refused.message().unwrap().contains("explicit deny"));
    server.stop().await;
}

#[tokio::test]
async fn the_sdk_gets_sessions_and_signs_with_them() {
    let simulator = Arc::new(Mutex::new(Simulator::default()));
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(simulator, Timestamp::now, listen).await.unwrap();
    control(&server, json!({"op": "create-user", "user": "app"})).await;
    let key = control(&server, json!({"op": "create-key", "user": "app"})).await;
    let arn = "arn:aws:iam::123456789012:user/app";
    control(&server, json!({"op": "create-role", "role": "r", "trust": [arn]})).await;
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    let (id, secret) = (text("access_key_id"), text("secret_access_key"));
    let with = |id: &str, secret: &str, token: &str| {
        let token = Some(token.to_owned()).filter(|token| token != "none");
        let credentials = Credentials::new(id, secret, token, None, "test");
        let config = sts(&server, id, secret).config().to_builder();
        aws_sdk_sts::Client::from_conf(config.credentials_provider(credentials).build())
    };
    let made = with(&id, &secret, "none").get_session_token().send().await.unwrap();
    let session = made.credentials().unwrap();
    let (sid, ssecret) = (session.access_key_id(), session.secret_access_key());
    let own = with(sid, ssecret, session.session_token());
    assert_eq!(own.get_caller_identity().send().await.unwrap().arn(), Some(arn));
    let role = own.assume_role().role_arn("arn:aws:iam::123456789012:role/r");
    let role = role.role_session_name("here").send().await.unwrap();
    let assumed = "arn:aws:sts::123456789012:assumed-role/r/here";
    assert_eq!(role.assumed_role_user().unwrap().arn(), assumed);
    let role = role.credentials().unwrap();
    let own = with(role.access_key_id(), role.secret_access_key(), role.session_token());
    assert_eq!(own.get_caller_identity().send().await.unwrap().arn(), Some(assumed));

    let token = session.session_token();
    for (id, secret, token, expected) in [
        (sid, ssecret, "none", "InvalidClientTokenId"),
        (sid, ssecret, "other", "InvalidClientTokenId"),
        (sid, "wrong", token, "SignatureDoesNotMatch"),
        (id.as_str(), secret.as_str(), token, "InvalidClientTokenId"),
        // The SDK signs an empty token as it stands.
        (id.as_str(), secret.as_str(), "", "InvalidClientTokenId"),
    ] {
        let refused = with(id, secret, token).get_caller_identity().send().await.unwrap_err();
        assert_eq!(refused.code(), Some(expected), "{id} {token}");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_is_refused_is_not_asked_for_a_body() {
    let simulator = Arc::new(Mutex::new(Simulator::default()));
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(simulator, Timestamp::now, listen).await.unwrap();
    for (authorization, expected) in [
        ("", "<Code>AccessDenied</Code>"),
        ("Authorization: AWS AKIA:x\r\n", "Please use AWS4-HMAC-SHA256"),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=A/20261125/r/s3/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=0\r\nx-amz-date: 20261125T000000Z\r\n",
            "<Code>InvalidAccessKeyId</Code>",
        ),
    ] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        let head = format!(
            "PUT /bucket/key HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\
             {authorization}Expect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // Its end is the server's: no body was sent, so the connection is of no use any more.
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
        assert!(answer.contains(expected), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_truncated_answer_begins_and_breaks_off() {
    let simulator = Arc::new(Mutex::new(Simulator::default()));
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(simulator, Timestamp::now, listen).await.unwrap();
    control(&server, json!({"op": "fault", "action": "GetUser", "kind": "truncated"})).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\nAction=GetUser";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Whether the end is a reset or a plain close is the system's choice.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer:?}");
    assert!(answer.contains("<ErrorResponse") && !answer.contains("</ErrorResponse>"), "{answer}");
}
