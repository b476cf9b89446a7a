//! IAM and STS over the AWS SDK, which signs and parses here and decides nothing: no retries, no caches.

use std::error::Error;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_iam::types::{PolicyEvaluationDecisionType, StatusType, Tag};
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, KeyStatus, SecretAccessKey};
use rotakey_core::iam::{CallerIdentity, Doubt, KeyList, LastUsed, ListedKey, NewKey, Outcome};

use super::calls::{CallLog, Keeper};
use super::classify::{ErrorAnswer, unknown};
use super::patience::patiently;
use super::{AssumeRole, KeyService, Mfa, Temporary};

/// How long one call may take. The engine counts a CreateAccessKey as lost after this.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One for the process: each client reads and keeps the system's root certificates, which takes milliseconds and a sixth of
/// a MiB. No connection is used twice: on a reused one the HTTP client itself may send a request again.
static HTTP: LazyLock<SharedHttpClient> = LazyLock::new(|| {
    let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    Builder::new().pool_max_idle_per_host(0).tls_provider(ring).build_https()
});

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// More pages than any account has: a server that never stops saying "more" must not hold us.
const MAX_PAGES: usize = 1000;

/// Endpoints other than AWS's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Where IAM is.
    pub iam: Option<String>,
    /// Where STS is, for every region.
    pub sts: Option<String>,
}

/// `KeyService` over the network.
#[derive(Clone, Debug)]
pub struct AwsKeyService {
    endpoints: Endpoints,
    region: String,
    call_timeout: Duration,
    now: fn() -> Timestamp,
    http: SharedHttpClient,
    log: CallLog,
}

impl AwsKeyService {
    /// A service for the partition that `region` is in. `now` stands in for a missing `Date` header.
    pub fn new(
        endpoints: Endpoints,
        region: String,
        call_timeout: Duration,
        now: fn() -> Timestamp,
    ) -> Self {
        let (http, log) = (HTTP.clone(), CallLog::default());
        Self { endpoints, region, call_timeout, now, http, log }
    }

    /// The calls made by this service and its copies.
    pub fn calls(&self) -> &CallLog {
        &self.log
    }

    fn keeper(&self, signer: &Credentials, region: &str) -> Keeper {
        let (log, signer) = (self.log.clone(), signer.access_key_id.clone());
        Keeper { log, signer, region: region.to_owned(), now: self.now }
    }

    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(self.call_timeout))
            .operation_attempt_timeout(self.call_timeout)
            .operation_timeout(self.call_timeout)
            .build()
    }

    fn iam(&self, signer: &Credentials, date: &ServerDate, app: &str) -> aws_sdk_iam::Client {
        use aws_sdk_iam::config::{self, AppName, BehaviorVersion, IdentityCache};
        let mut config = config::Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(config::Region::new(iam_region(&self.region)))
            .credentials_provider(sdk_credentials(signer))
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.timeouts())
            .stalled_stream_protection(config::StalledStreamProtectionConfig::disabled())
            .http_client(self.http.clone())
            .interceptor(date.clone())
            .interceptor(self.keeper(signer, iam_region(&self.region)));
        // A name that does not fit into a user agent is left out; the call matters more.
        config.set_app_name(AppName::new(app.to_owned()).ok());
        config.set_endpoint_url(self.endpoints.iam.clone());
        aws_sdk_iam::Client::from_conf(config.build())
    }

    fn sts(&self, signer: &Credentials, region: &str) -> aws_sdk_sts::Client {
        use aws_sdk_sts::config::{self, AppName, BehaviorVersion, IdentityCache};
        let mut config = config::Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(config::Region::new(region.to_owned()))
            .credentials_provider(sdk_credentials(signer))
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.timeouts())
            .stalled_stream_protection(config::StalledStreamProtectionConfig::disabled())
            .http_client(self.http.clone())
            .interceptor(self.keeper(signer, region));
        config.set_app_name(AppName::new("rotakey").ok());
        config.set_endpoint_url(self.endpoints.sts.clone());
        aws_sdk_sts::Client::from_conf(config.build())
    }

    pub(super) fn plain(&self, signer: &Credentials) -> aws_sdk_iam::Client {
        self.iam(signer, &ServerDate::default(), "rotakey")
    }
}

/// Where IAM requests are signed for: IAM is one service per partition.
pub fn iam_region(region: &str) -> &'static str {
    let partitions = [
        ("cn-", "cn-north-1"),
        ("us-gov-", "us-gov-west-1"),
        ("us-iso-", "us-iso-east-1"),
        ("us-isob-", "us-isob-east-1"),
        ("us-isof-", "us-isof-south-1"),
        ("eu-isoe-", "eu-isoe-west-1"),
        ("eusc-", "eusc-de-east-1"),
    ];
    let found = partitions.iter().find(|(prefix, _)| region.starts_with(prefix));
    found.map_or("us-east-1", |(_, signing)| signing)
}

fn sdk_credentials(signer: &Credentials) -> aws_credential_types::Credentials {
    let secret = signer.secret_access_key.expose();
    aws_credential_types::Credentials::new(
        signer.access_key_id.as_str(),
        secret,
        signer.session_token.as_ref().map(|token| token.expose().to_owned()),
        None,
        "rotakey",
    )
}

/// Keeps the `Date` header of the last answer, which the SDK's outputs do not carry.
#[derive(Clone, Debug, Default)]
struct ServerDate(Arc<Mutex<Option<Timestamp>>>);

impl ServerDate {
    fn get(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for ServerDate {
    fn name(&self) -> &'static str {
        "ServerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let header = context.response().headers().get("date");
        let date = header
            .and_then(|text| aws_smithy_types::DateTime::from_str(text, Format::HttpDate).ok())
            .and_then(|date| timestamp(&date));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

/// The credentials in an answer of STS.
fn temporary(act: &str, given: Option<aws_sdk_sts::types::Credentials>) -> Outcome<Temporary> {
    let whole = given.as_ref().and_then(|given| {
        let expires = timestamp(given.expiration())?;
        let (id, secret) = (given.access_key_id(), given.secret_access_key());
        Temporary::whole(id, secret, given.session_token(), expires)
    });
    whole.map_or_else(|| unknown(format!("{act} answered no whole credentials")), Outcome::Done)
}

fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// Whole seconds, as IAM itself has them; compatible servers send fractions.
fn timestamp(date: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::from_second(date.secs()).ok()
}

/// What an error of the SDK means.
pub(super) fn failed<T, E>(error: SdkError<E, HttpResponse>) -> Outcome<T>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match &error {
        SdkError::ServiceError(answer) => {
            let raw = answer.raw();
            let status = raw.status().as_u16();
            if let Some(code) = answer.err().code() {
                let message = answer.err().message().unwrap_or_default().to_owned();
                return ErrorAnswer { status, code: Some(code.to_owned()), message }.outcome();
            }
            let body = String::from_utf8_lossy(raw.body().bytes().unwrap_or_default());
            ErrorAnswer::from_body(status, &body).outcome()
        }
        SdkError::ConstructionFailure(_) => {
            Outcome::Unknown(Doubt { sent: false, reason: "the request could not be made".into() })
        }
        SdkError::ResponseError(_) => unknown("the answer could not be read"),
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => lost(&error),
        _ => unknown("the call failed in an unknown way"),
    }
}

/// A call without an answer: never sent only if the error came while connecting.
///
/// The HTTP client tells that only by its words; should they ever change, every such call counts as sent,
/// which is the safe side.
fn lost<T>(error: &(dyn Error + 'static)) -> Outcome<T> {
    let chain = std::iter::successors(error.source(), |&error| error.source());
    let words: Vec<String> = chain.map(ToString::to_string).collect();
    let connecting = words.iter().any(|text| text == "client error (Connect)");
    let reason = words.last().cloned().unwrap_or_else(|| error.to_string());
    let reason = if connecting { format!("cannot connect: {reason}") } else { reason };
    Outcome::Unknown(Doubt { sent: !connecting, reason })
}

/// Joins the pages of a list. Half a list is never an answer.
macro_rules! pages {
    ($request:expr, $items:ident) => {{
        let (mut all, mut marker) = (Vec::new(), None);
        let mut rest = MAX_PAGES;
        loop {
            let page = match $request.set_marker(marker).send().await {
                Ok(page) => page,
                Err(error) => return failed(error),
            };
            all.extend_from_slice(page.$items());
            marker = page.marker().filter(|_| page.is_truncated()).map(str::to_owned);
            match (page.is_truncated(), &marker) {
                (false, _) => break all,
                (true, None) => return unknown("a list was cut without saying where it goes on"),
                (true, Some(_)) => rest -= 1,
            }
            if rest == 0 {
                return unknown("a list without end");
            }
        }
    }};
}

fn done<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> Outcome<()>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    result.map_or_else(failed, |_| Outcome::Done(()))
}

fn listed(key: &aws_sdk_iam::types::AccessKeyMetadata) -> Option<ListedKey> {
    let status = match key.status()? {
        StatusType::Active => KeyStatus::Active,
        StatusType::Inactive => KeyStatus::Inactive,
        _ => return None,
    };
    let created = timestamp(key.create_date()?)?;
    Some(ListedKey { access_key_id: key.access_key_id()?.parse().ok()?, status, created })
}

impl KeyService for AwsKeyService {
    async fn caller_identity(&self, signer: &Credentials, region: &str) -> Outcome<CallerIdentity> {
        match self.sts(signer, region).get_caller_identity().send().await {
            Ok(answer) => match (answer.account, answer.arn) {
                (Some(account_id), Some(arn)) => Outcome::Done(CallerIdentity { account_id, arn }),
                _ => unknown("GetCallerIdentity named no account or no ARN"),
            },
            Err(error) => failed(error),
        }
    }

    async fn list_access_keys(&self, signer: &Credentials, user: &str) -> Outcome<KeyList> {
        let date = ServerDate::default();
        let client = self.iam(signer, &date, "rotakey");
        let all = pages!(client.list_access_keys().user_name(user), access_key_metadata);
        // A key that cannot be read must not look like a key that is gone.
        match all.iter().map(listed).collect() {
            Some(keys) => {
                Outcome::Done(KeyList { keys, server_time: date.get().unwrap_or_else(self.now) })
            }
            None => unknown("ListAccessKeys answered a key that cannot be read"),
        }
    }

    async fn create_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        rotation: &str,
    ) -> Outcome<NewKey> {
        let client = self.iam(signer, &ServerDate::default(), &format!("rotakey-{rotation}"));
        let answer = match client.create_access_key().user_name(user).send().await {
            Ok(answer) => answer,
            Err(error) => return failed(error),
        };
        let key = answer.access_key();
        let made = key.and_then(|key| {
            let secret = SecretAccessKey::new(key.secret_access_key().to_owned());
            (!secret.expose().is_empty()).then_some(())?;
            let access_key_id = key.access_key_id().parse().ok()?;
            let created = timestamp(key.create_date()?)?;
            let credentials = Credentials::long_term(access_key_id, secret);
            Some(NewKey { credentials, created })
        });
        made.map_or_else(|| unknown("CreateAccessKey answered no whole key"), Outcome::Done)
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
        let request = self.plain(signer).update_access_key().user_name(user);
        done(request.access_key_id(id.as_str()).status(status).send().await)
    }

    async fn delete_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        id: &AccessKeyId,
    ) -> Outcome<()> {
        let request = self.plain(signer).delete_access_key().user_name(user);
        done(request.access_key_id(id.as_str()).send().await)
    }

    async fn access_key_last_used(
        &self,
        signer: &Credentials,
        id: &AccessKeyId,
    ) -> Outcome<Option<LastUsed>> {
        let request = self.plain(signer).get_access_key_last_used().access_key_id(id.as_str());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return failed(error),
        };
        // "Never used" takes an answer that says so; an answer without the element says nothing.
        let Some(used) = answer.access_key_last_used() else {
            return unknown("GetAccessKeyLastUsed answered nothing");
        };
        let Some(date) = used.last_used_date() else { return Outcome::Done(None) };
        let Some(at) = timestamp(date) else { return unknown("a LastUsedDate out of range") };
        let (service, region) = (used.service_name().to_owned(), used.region().to_owned());
        Outcome::Done(Some(LastUsed { at, service, region }))
    }

    async fn denied_actions(
        &self,
        signer: &Credentials,
        user_arn: &str,
        actions: &[&str],
    ) -> Outcome<Vec<String>> {
        let client = self.plain(signer);
        let names: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
        // The simulation does not know how its own call was signed. A session that may call IAM was made with MFA.
        let mfa = aws_sdk_iam::types::ContextEntry::builder()
            .context_key_name("aws:MultiFactorAuthPresent")
            .context_key_type(aws_sdk_iam::types::ContextKeyTypeEnum::Boolean)
            .context_key_values("true")
            .build();
        let context = signer.session_token.is_some().then(|| vec![mfa]);
        let all = pages!(
            client
                .simulate_principal_policy()
                .policy_source_arn(user_arn)
                .resource_arns(user_arn)
                .set_context_entries(context.clone())
                .set_action_names(Some(names.clone())),
            evaluation_results
        );
        let denied = |result: &&aws_sdk_iam::types::EvaluationResult| {
            *result.eval_decision() != PolicyEvaluationDecisionType::Allowed
        };
        let names = all.iter().filter(denied).map(|result| result.eval_action_name().to_owned());
        Outcome::Done(names.collect())
    }

    async fn user_tags(&self, signer: &Credentials, user: &str) -> Outcome<Vec<(String, String)>> {
        let client = self.plain(signer);
        let all = pages!(client.list_user_tags().user_name(user), tags);
        let pair = |tag: &Tag| (tag.key().to_owned(), tag.value().to_owned());
        Outcome::Done(all.iter().map(pair).collect())
    }

    async fn tag_user(
        &self,
        signer: &Credentials,
        user: &str,
        key: &str,
        value: &str,
    ) -> Outcome<()> {
        match Tag::builder().key(key).value(value).build() {
            Ok(tag) => done(self.plain(signer).tag_user().user_name(user).tags(tag).send().await),
            Err(error) => Outcome::Unknown(Doubt { sent: false, reason: error.to_string() }),
        }
    }

    async fn untag_user(&self, signer: &Credentials, user: &str, key: &str) -> Outcome<()> {
        done(self.plain(signer).untag_user().user_name(user).tag_keys(key).send().await)
    }

    async fn attached_policies(&self, signer: &Credentials, user: &str) -> Outcome<Vec<String>> {
        let client = self.plain(signer);
        let all = pages!(client.list_attached_user_policies().user_name(user), attached_policies);
        let names = all.iter().filter_map(|policy| policy.policy_name());
        Outcome::Done(names.map(str::to_owned).collect())
    }

    async fn put_user_policy(
        &self,
        signer: &Credentials,
        user: &str,
        name: &str,
        document: &str,
    ) -> Outcome<()> {
        let request = self.plain(signer).put_user_policy().user_name(user).policy_name(name);
        done(request.policy_document(document).send().await)
    }

    async fn list_users(&self, signer: &Credentials) -> Outcome<Vec<String>> {
        // Ten pages for a thousand users: one that is throttled must not cost the others.
        let client = self.plain(signer);
        let (mut names, mut marker) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let request = || client.list_users().set_marker(marker.clone());
            let page = patiently(async || match request().send().await {
                Ok(page) => Outcome::Done(page),
                Err(error) => failed(error),
            });
            let page = match page.await {
                Outcome::Done(page) => page,
                Outcome::Refused(refusal) => return Outcome::Refused(refusal),
                Outcome::Unknown(doubt) => return Outcome::Unknown(doubt),
            };
            names.extend(page.users().iter().map(|user| user.user_name().to_owned()));
            marker = page.marker().map(str::to_owned);
            match (page.is_truncated(), &marker) {
                (false, _) => return Outcome::Done(names),
                (true, None) => return unknown("a list was cut without saying where it goes on"),
                (true, Some(_)) => {}
            }
        }
        unknown("a list without end")
    }

    async fn get_session_token(
        &self,
        signer: &Credentials,
        region: &str,
        duration: Duration,
        mfa: Option<&Mfa>,
    ) -> Outcome<Temporary> {
        let request = self.sts(signer, region).get_session_token();
        let request = request
            .duration_seconds(whole_seconds(duration))
            .set_serial_number(mfa.map(|mfa| mfa.serial.clone()))
            .set_token_code(mfa.map(|mfa| mfa.code.expose().to_owned()));
        match request.send().await {
            Ok(answer) => temporary("GetSessionToken", answer.credentials),
            Err(error) => failed(error),
        }
    }

    async fn assume_role(
        &self,
        signer: &Credentials,
        region: &str,
        role: &AssumeRole,
    ) -> Outcome<Temporary> {
        let request = self.sts(signer, region).assume_role();
        let request = request
            .role_arn(&role.role_arn)
            .role_session_name(&role.session_name)
            .set_external_id(role.external_id.clone())
            .duration_seconds(whole_seconds(role.duration))
            .set_serial_number(role.mfa.as_ref().map(|mfa| mfa.serial.clone()))
            .set_token_code(role.mfa.as_ref().map(|mfa| mfa.code.expose().to_owned()));
        match request.send().await {
            Ok(answer) => temporary("AssumeRole", answer.credentials),
            Err(error) => failed(error),
        }
    }
}
