//! The AWS SDK for Rust as a client of tests/proxy_clients: acts, folder and environment as `client.py` there says.

use std::error::Error;
use std::fs::{read, read_to_string, write};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use serde_json::{Value, json};

type Done<T> = Result<T, Box<dyn Error>>;

const PART: u64 = 5 << 20;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Over http the plain client, to the endpoint of the environment. Over https one that goes through the proxy and trusts
/// its CA: of itself the SDK reads neither from the environment.
async fn configuration() -> Done<SdkConfig> {
    let loader = aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled());
    let client = if variable("HTTPS_PROXY").is_empty() {
        Builder::new().build_http()
    } else {
        let authorities = read(variable("AWS_CA_BUNDLE"))?;
        let trusted = TrustStore::empty().with_pem_certificate(authorities);
        let tls = TlsContext::builder().with_trust_store(trusted).build()?;
        Builder::new().build_with_connector_fn(move |settings, _| {
            let mut connector = Connector::builder();
            connector.set_connector_settings(settings.cloned());
            connector
                .proxy_config(ProxyConfig::from_env())
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls.clone())
                .build()
        })
    };
    Ok(loader.http_client(client).load().await)
}

struct Client {
    all: SdkConfig,
    s3: aws_sdk_s3::Client,
    name: String,
}

impl Client {
    async fn put(&self, bucket: &str, key: &str, body: ByteStream) -> Done<()> {
        self.s3.put_object().bucket(bucket).key(key).body(body).send().await?;
        Ok(())
    }

    async fn get(&self, bucket: &str, key: &str) -> Done<Vec<u8>> {
        let answer = self.s3.get_object().bucket(bucket).key(key).send().await?;
        Ok(answer.body.collect().await?.to_vec())
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Done<Vec<u8>> {
        let answer = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).send().await?;
        let keys: Vec<_> = answer.contents().iter().filter_map(|object| object.key()).collect();
        Ok(serde_json::to_vec(&keys)?)
    }

    async fn keys(&self, group: &str) -> Done<Vec<u8>> {
        let bucket = format!("{}-{group}", self.name);
        let keys: Vec<String> = serde_json::from_str(&read_to_string(format!("{group}.json"))?)?;
        for (n, key) in keys.iter().enumerate() {
            self.put(&bucket, key, ByteStream::from(key.clone().into_bytes())).await?;
            write(format!("{group}-{n}-back"), self.get(&bucket, key).await?)?;
        }
        self.list(&bucket, "").await
    }

    async fn multipart(&self) -> Done<()> {
        let (bucket, key) = (&self.name, "multipart");
        let begun = self.s3.create_multipart_upload().bucket(bucket).key(key).send().await?;
        let upload = begun.upload_id().ok_or("no upload id")?;
        let (size, mut parts, mut number) = (std::fs::metadata("large")?.len(), Vec::new(), 0);
        for at in (0..size).step_by(PART as usize) {
            number += 1;
            let length = Length::Exact(PART.min(size - at));
            let body = ByteStream::read_from().path("large").offset(at).length(length).build().await?;
            let part = self.s3.upload_part().bucket(bucket).key(key).upload_id(upload);
            let sent = part.part_number(number).body(body).send().await?;
            let part = CompletedPart::builder().part_number(number);
            let part = part.set_e_tag(sent.e_tag).set_checksum_crc32(sent.checksum_crc32);
            parts.push(part.build());
        }
        let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let end = self.s3.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        end.multipart_upload(whole).send().await?;
        Ok(())
    }

    async fn url(&self) -> Done<Vec<u8>> {
        let lasting = PresigningConfig::expires_in(Duration::from_secs(300))?;
        let get = self.s3.get_object().bucket(&self.name).key("get");
        Ok(get.presigned(lasting).await?.uri().as_bytes().to_vec())
    }

    async fn dynamodb(&self) -> Done<String> {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.all);
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = dynamodb.put_item().table_name("table").item("id", text(&self.name));
        put.item("value", text("ü")).send().await?;
        let get = dynamodb.get_item().table_name("table").key("id", text(&self.name));
        let item = get.send().await?.item.ok_or("no item")?;
        Ok(item["value"].as_s().cloned().map_err(|_| "not a text")?)
    }

    async fn sqs(&self) -> Done<String> {
        let sqs = aws_sdk_sqs::Client::new(&self.all);
        let found = sqs.get_queue_url().queue_name(&self.name).send().await?;
        let url = found.queue_url().ok_or("no URL")?;
        sqs.send_message().queue_url(url).message_body("ü").send().await?;
        let received = sqs.receive_message().queue_url(url).send().await?;
        let message = received.messages().first().and_then(|message| message.body());
        Ok(message.ok_or("no message")?.to_owned())
    }

    async fn path(&self) -> Done<String> {
        let function =
            format!("arn:aws:lambda:{}:123456789012:function:function", variable("AWS_REGION"));
        let lambda = aws_sdk_lambda::Client::new(&self.all);
        let found = lambda.get_function_configuration().function_name(function).send().await?;
        Ok(found.function_name.ok_or("no name")?)
    }

    /// What an act gives is written into the file of its name.
    async fn act(&self, act: &str) -> Done<()> {
        let name = self.name.as_str();
        let said = match act {
            "put" => return self.put(name, act, ByteStream::from(read("small")?)).await,
            // Where there is no TLS it signs every chunk of a file.
            "stream" => return self.put(name, act, ByteStream::from_path("large").await?).await,
            "multipart" => return self.multipart().await,
            "get" => self.get(name, "get").await?,
            "list" => self.list(name, "list/").await?,
            "dots" | "odd" => self.keys(act).await?,
            "url" => self.url().await?,
            "dynamodb" => self.dynamodb().await?.into_bytes(),
            "sqs" => self.sqs().await?.into_bytes(),
            "path" => self.path().await?.into_bytes(),
            "sts" => {
                let found = aws_sdk_sts::Client::new(&self.all).get_caller_identity().send().await?;
                found.arn.ok_or("no ARN")?.into_bytes()
            }
            _ => return Err(format!("no act {act}").into()),
        };
        Ok(write(act, said)?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done<()> {
    let acts: Vec<String> = std::env::args().skip(1).collect();
    if acts == ["version"] {
        println!("{}", aws_sdk_s3::meta::PKG_VERSION);
        return Ok(());
    }
    let all = configuration().await?;
    let client = Client { s3: aws_sdk_s3::Client::new(&all), all, name: variable("NAME") };
    for act in acts {
        let error = match client.act(&act).await {
            Ok(()) => Value::Null,
            Err(error) => json!(DisplayErrorContext(&*error).to_string()),
        };
        println!("{}", json!({"act": act, "error": error}));
    }
    Ok(())
}
