//! The AWS SDK for Rust as programs use it: one configuration and one client, kept for long, and the standard
//! chain. Input and output as `boto3_client.py` says; it knows the one call `sts`.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sts::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sts::error::{BoxError, DisplayErrorContext};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// What the latest request said of who signed it.
#[derive(Clone, Debug, Default)]
struct Sent(Arc<Mutex<(Option<String>, Option<bool>)>>);

impl Intercept for Sent {
    fn name(&self) -> &'static str {
        "sent"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request().headers();
        let signer = headers
            .get("authorization")
            .and_then(|text| Some(text.split_once("Credential=")?.1.split_once('/')?.0.to_owned()));
        let token = headers.get("x-amz-security-token").is_some();
        *self.0.lock().expect("one thread") = (signer, Some(token));
        Ok(())
    }
}

async fn client(sent: &Sent) -> Client {
    // Plain HTTP, as all servers are on loopback. One attempt: a refusal that a retry hides is a refusal all the same.
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    let config = aws_sdk_sts::config::Builder::from(&config).interceptor(sent.clone()).build();
    Client::from_conf(config)
}

async fn call(client: &Client, name: &str) -> Option<String> {
    if name != "sts" {
        return Some(format!("no call {name}"));
    }
    let error = client.get_caller_identity().send().await.err()?;
    Some(DisplayErrorContext(error).to_string().chars().take(300).collect())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let version = format!("aws-config {}", aws_config_version());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (sent, mut kept, mut n) = (Sent::default(), None, 0);
    while let Some(line) = lines.next_line().await? {
        if line.trim() == "new" {
            kept = None;
            continue;
        }
        if kept.is_none() {
            kept = Some(client(&sent).await);
        }
        *sent.0.lock().expect("one thread") = (None, None);
        n += 1;
        let error = match &kept {
            Some(client) => call(client, line.trim()).await,
            None => Some("no client".to_owned()),
        };
        println!("{}", report(&version, n, &sent, error));
    }
    Ok(())
}

fn report(version: &str, n: u64, sent: &Sent, error: Option<String>) -> Value {
    let (signer, token) = sent.0.lock().expect("one thread").clone();
    let t = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    json!({
        "client": version, "n": n, "ok": error.is_none(), "access_key_id": signer, "token": token,
        "error": error, "t": t,
    })
}

/// The version that Cargo.toml pins: crates do not tell theirs.
fn aws_config_version() -> &'static str {
    let manifest = include_str!("../Cargo.toml");
    let line = manifest.lines().find(|line| line.starts_with("aws-config")).unwrap_or_default();
    line.split('"').nth(1).unwrap_or_default().trim_start_matches('=')
}
