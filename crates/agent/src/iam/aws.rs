//! IAM and STS over the AWS SDK.
//!
//! The SDK's own retries are off for every call: `CreateAccessKey` must not be sent twice, and for the rest
//! the engine decides when to ask again.

use std::time::Duration;

use aws_credential_types::Credentials as SdkCredentials;
use aws_sdk_iam::types::StatusType;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, KeyStatus, SecretAccessKey};
use rotakey_core::iam::{CallerIdentity, Doubt, KeyList, LastUsed, ListedKey, NewKey, Outcome};

use super::KeyService;
use super::classify::{classify, code_in_body, refusal};

/// How long one request may take, its connection included.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To connect.
    pub connect: Duration,
    /// From sending to the whole answer. A reply to `CreateAccessKey` that is later counts as lost.
    pub attempt: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), attempt: Duration::from_secs(10) }
    }
}

/// Where the services are, if not where AWS has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// IAM's URL.
    pub iam: Option<String>,
    /// STS's URL.
    pub sts: Option<String>,
}

/// IAM and STS.
#[derive(Debug)]
pub struct AwsKeyService {
    http: SharedHttpClient,
    endpoints: Endpoints,
    region: String,
    timeouts: Timeouts,
    local_time: fn() -> Timestamp,
}

impl AwsKeyService {
    /// A client for the partition of `region`. `local_time` stands in for a server that sends no `Date`.
    pub fn new(
        endpoints: Endpoints,
        region: String,
        timeouts: Timeouts,
        local_time: fn() -> Timestamp,
    ) -> Self {
        use aws_smithy_http_client::{Builder, tls};
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let http = Builder::new().tls_provider(provider).build_https();
        Self { http, endpoints, region, timeouts, local_time }
    }

    fn timeout_config(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.timeouts.connect)
            .operation_attempt_timeout(self.timeouts.attempt)
            .operation_timeout(self.timeouts.attempt)
            .build()
    }

    fn iam(&self, signer: &Credentials, rotation: Option<&str>) -> aws_sdk_iam::Client {
        use aws_sdk_iam::config::{AppName, BehaviorVersion, Builder, Region};
        // IAM has one region in each partition; the endpoint rules find it from any of its regions.
        let mut config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .region(Region::new(self.region.clone()))
            .credentials_provider(sdk_credentials(signer))
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.timeout_config());
        if let Some(url) = &self.endpoints.iam {
            config = config.endpoint_url(url);
            config.set_region(Some(Region::new(iam_region(&self.region))));
        }
        let name = rotation.map_or_else(|| "rotakey".to_owned(), |id| format!("rotakey-{id}"));
        if let Ok(name) = AppName::new(name) {
            config = config.app_name(name);
        }
        aws_sdk_iam::Client::from_conf(config.build())
    }

    fn sts(&self, signer: &Credentials, region: &str) -> aws_sdk_sts::Client {
        use aws_sdk_sts::config::{AppName, BehaviorVersion, Builder, Region};
        let mut config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .region(Region::new(region.to_owned()))
            .credentials_provider(sdk_credentials(signer))
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.timeout_config());
        if let Some(url) = &self.endpoints.sts {
            config = config.endpoint_url(url);
        }
        if let Ok(name) = AppName::new("rotakey") {
            config = config.app_name(name);
        }
        aws_sdk_sts::Client::from_conf(config.build())
    }
}

/// The region that IAM's requests are signed for (IAM endpoints and quotas, AWS General Reference).
fn iam_region(region: &str) -> String {
    let home = match region {
        r if r.starts_with("cn-") => "cn-north-1",
        r if r.starts_with("us-gov-") => "us-gov-west-1",
        _ => "us-east-1",
    };
    home.to_owned()
}

fn sdk_credentials(signer: &Credentials) -> SdkCredentials {
    let secret = signer.secret_access_key.expose();
    SdkCredentials::new(signer.access_key_id.as_str(), secret, None, None, "rotakey")
}

fn id(text: &str) -> Result<AccessKeyId, Doubt> {
    text.parse().map_err(|_| Doubt {
        sent: true,
        reason: format!("the server sent an access key id that is none: {text:?}"),
    })
}

fn time(at: &aws_smithy_types::DateTime) -> Timestamp {
    Timestamp::from_second(at.secs()).unwrap_or(Timestamp::MIN)
}

/// What an SDK error means.
fn failure<T, E>(error: SdkError<E, HttpResponse>) -> Outcome<T>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let (status, mut code, mut message) = match error.raw_response() {
        None => (0, String::new(), String::new()),
        Some(response) => {
            let status = response.status().as_u16();
            let body = response.body().bytes().map(String::from_utf8_lossy);
            match body.as_deref().and_then(code_in_body) {
                Some((code, message)) => (status, code, message),
                None => (status, String::new(), String::new()),
            }
        }
    };
    if let SdkError::ServiceError(service) = &error
        && let Some(known) = service.err().meta().code()
    {
        known.clone_into(&mut code);
        service.err().meta().message().unwrap_or_default().clone_into(&mut message);
    }
    if status != 0
        && !(200..300).contains(&status)
        && let Some(class) = classify(status, &code, &message)
    {
        let code = if code.is_empty() { format!("HTTP {status}") } else { code };
        return Outcome::Refused(refusal(class, &code, &message));
    }
    let sent = !never_left(&error);
    let reason = match (&error, status) {
        (SdkError::TimeoutError(_), _) => "no answer in time".to_owned(),
        (_, 0) => root_cause(&error),
        (_, status) if (200..300).contains(&status) => "the answer was cut off".to_owned(),
        (_, status) => format!("HTTP {status} {code} {message}").trim().to_owned(),
    };
    Outcome::Unknown(Doubt { sent, reason })
}

/// Whether the request provably never left: no connection was made.
fn never_left<E: std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(_) => {
            let mut cause = std::error::Error::source(error);
            while let Some(one) = cause {
                if let Some(io) = one.downcast_ref::<std::io::Error>() {
                    return matches!(
                        io.kind(),
                        std::io::ErrorKind::ConnectionRefused
                            | std::io::ErrorKind::HostUnreachable
                            | std::io::ErrorKind::NetworkUnreachable
                            | std::io::ErrorKind::AddrNotAvailable
                    );
                }
                if one.to_string().contains("dns error") {
                    return true;
                }
                cause = one.source();
            }
            false
        }
        _ => false,
    }
}

fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Joins what an SDK call gave: `outcome!(call, |answer| value)`.
macro_rules! outcome {
    ($call:expr, |$answer:pat_param| $value:expr) => {
        match $call.await {
            Ok($answer) => Outcome::Done($value),
            Err(error) => failure(error),
        }
    };
}

impl KeyService for AwsKeyService {
    async fn caller_identity(&self, signer: &Credentials, region: &str) -> Outcome<CallerIdentity> {
        outcome!(self.sts(signer, region).get_caller_identity().send(), |answer| CallerIdentity {
            account_id: answer.account.unwrap_or_default(),
            arn: answer.arn.unwrap_or_default(),
        })
    }

    async fn list_access_keys(&self, signer: &Credentials, user: &str) -> Outcome<KeyList> {
        let client = self.iam(signer, None);
        let mut list = KeyList { keys: Vec::new(), server_time: (self.local_time)() };
        let mut marker = None;
        loop {
            let date = ServerDate::default();
            let call = client
                .list_access_keys()
                .user_name(user)
                .set_marker(marker.take())
                .customize()
                .interceptor(date.clone())
                .send();
            let page = match call.await {
                Ok(page) => page,
                Err(error) => return failure(error),
            };
            list.server_time = date.read().unwrap_or(list.server_time);
            for key in &page.access_key_metadata {
                let access_key_id = match id(key.access_key_id().unwrap_or_default()) {
                    Ok(id) => id,
                    Err(doubt) => return Outcome::Unknown(doubt),
                };
                let status = match key.status() {
                    Some(StatusType::Active) => KeyStatus::Active,
                    _ => KeyStatus::Inactive,
                };
                let created = key.create_date().map_or(Timestamp::MIN, time);
                list.keys.push(ListedKey { access_key_id, status, created });
            }
            if !page.is_truncated || page.marker.is_none() {
                return Outcome::Done(list);
            }
            marker = page.marker;
        }
    }

    async fn create_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        rotation: &str,
    ) -> Outcome<NewKey> {
        let call = self.iam(signer, Some(rotation)).create_access_key().user_name(user).send();
        let key = match call.await {
            Ok(answer) => answer.access_key,
            Err(error) => return failure(error),
        };
        let Some(key) = key.filter(|key| !key.secret_access_key.is_empty()) else {
            let reason = "the answer holds no key".to_owned();
            return Outcome::Unknown(Doubt { sent: true, reason });
        };
        let created = key.create_date.as_ref().map_or_else(self.local_time, time);
        match id(&key.access_key_id) {
            Ok(access_key_id) => Outcome::Done(NewKey {
                credentials: Credentials {
                    access_key_id,
                    secret_access_key: SecretAccessKey::new(key.secret_access_key),
                },
                created,
            }),
            Err(doubt) => Outcome::Unknown(doubt),
        }
    }

    async fn update_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        id: &AccessKeyId,
        status: KeyStatus,
    ) -> Outcome<()> {
        let status = match status {
            KeyStatus::Active => StatusType::Active,
            KeyStatus::Inactive => StatusType::Inactive,
        };
        let client = self.iam(signer, None);
        let call = client.update_access_key().user_name(user).access_key_id(id.as_str());
        outcome!(call.status(status).send(), |_| ())
    }

    async fn delete_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        id: &AccessKeyId,
    ) -> Outcome<()> {
        let client = self.iam(signer, None);
        let call = client.delete_access_key().user_name(user).access_key_id(id.as_str());
        outcome!(call.send(), |_| ())
    }

    async fn access_key_last_used(
        &self,
        signer: &Credentials,
        id: &AccessKeyId,
    ) -> Outcome<Option<LastUsed>> {
        let client = self.iam(signer, None);
        let call = client.get_access_key_last_used().access_key_id(id.as_str());
        outcome!(call.send(), |answer| answer.access_key_last_used.and_then(|used| {
            let at = time(used.last_used_date.as_ref()?);
            Some(LastUsed { at, service: used.service_name, region: used.region })
        }))
    }

    async fn denied_actions(
        &self,
        signer: &Credentials,
        user_arn: &str,
        actions: &[&str],
    ) -> Outcome<Vec<String>> {
        use aws_sdk_iam::types::PolicyEvaluationDecisionType::Allowed;
        let client = self.iam(signer, None);
        let call = client
            .simulate_principal_policy()
            .policy_source_arn(user_arn)
            .set_action_names(Some(actions.iter().map(ToString::to_string).collect()))
            .resource_arns(user_arn);
        match call.send().await {
            Ok(answer) if answer.evaluation_results().len() < actions.len() => {
                let reason = "the simulation did not name every action".to_owned();
                Outcome::Unknown(Doubt { sent: true, reason })
            }
            Ok(answer) => Outcome::Done(
                answer
                    .evaluation_results()
                    .iter()
                    .filter(|result| *result.eval_decision() != Allowed)
                    .map(|result| result.eval_action_name().to_owned())
                    .collect(),
            ),
            Err(error) => failure(error),
        }
    }

    async fn user_tags(&self, signer: &Credentials, user: &str) -> Outcome<Vec<(String, String)>> {
        let client = self.iam(signer, None);
        let mut tags = Vec::new();
        let mut marker = None;
        loop {
            let call = client.list_user_tags().user_name(user).set_marker(marker.take());
            match call.send().await {
                Err(error) => return failure(error),
                Ok(page) => {
                    tags.extend(page.tags.into_iter().map(|tag| (tag.key, tag.value)));
                    if !page.is_truncated || page.marker.is_none() {
                        return Outcome::Done(tags);
                    }
                    marker = page.marker;
                }
            }
        }
    }

    async fn tag_user(
        &self,
        signer: &Credentials,
        user: &str,
        key: &str,
        value: &str,
    ) -> Outcome<()> {
        let tag = aws_sdk_iam::types::Tag::builder().key(key).value(value).build();
        let tag = tag.expect("both the key and the value of the tag are given");
        let client = self.iam(signer, None);
        outcome!(client.tag_user().user_name(user).tags(tag).send(), |_| ())
    }

    async fn untag_user(&self, signer: &Credentials, user: &str, key: &str) -> Outcome<()> {
        let client = self.iam(signer, None);
        outcome!(client.untag_user().user_name(user).tag_keys(key).send(), |_| ())
    }

    async fn list_users(&self, signer: &Credentials) -> Outcome<Vec<String>> {
        let client = self.iam(signer, None);
        let mut users = Vec::new();
        let mut marker = None;
        loop {
            match client.list_users().set_marker(marker.take()).send().await {
                Err(error) => return failure(error),
                Ok(page) => {
                    users.extend(page.users.into_iter().map(|user| user.user_name));
                    if !page.is_truncated || page.marker.is_none() {
                        return Outcome::Done(users);
                    }
                    marker = page.marker;
                }
            }
        }
    }
}

/// Takes the `Date` header of an answer down.
#[derive(Clone, Debug, Default)]
struct ServerDate(std::sync::Arc<std::sync::Mutex<Option<String>>>);

impl ServerDate {
    fn read(&self) -> Option<Timestamp> {
        let date = self.0.lock().ok()?.take()?;
        jiff::fmt::rfc2822::parse(&date).ok().map(|zoned| zoned.timestamp())
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl aws_smithy_runtime_api::client::interceptors::Intercept for ServerDate {
    fn name(&self) -> &'static str {
        "ServerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef<'_>,
        _: &aws_smithy_runtime_api::client::runtime_components::RuntimeComponents,
        _: &mut aws_smithy_types::config_bag::ConfigBag,
    ) -> Result<(), aws_smithy_runtime_api::box_error::BoxError> {
        if let Ok(mut slot) = self.0.lock() {
            *slot = context.response().headers().get("date").map(str::to_owned);
        }
        Ok(())
    }
}
