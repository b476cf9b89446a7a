//! IAM and STS over the AWS SDK, which signs and parses here and decides nothing: no retries, no caches.

mod answer;
mod failure;
mod service;

use std::sync::LazyLock;
use std::time::Duration;

use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use jiff::Timestamp;
use rotakey_core::credential::Credentials;
use rotakey_endpoint::proxy::connect::pem;
use rotakey_endpoint::proxy::roots;

use self::answer::ServerDate;
pub(super) use self::failure::failed;
pub use self::failure::{NO_ROOTS, ROOTS_HINT};
use super::calls::{CallLog, Keeper};

/// How long one call may take. The engine counts a CreateAccessKey as lost after this.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One for the process: each client keeps the system's root certificates, which takes milliseconds and a sixth of a MiB.
/// They are read by us: the SDK's own would have the proxy's authority among them where a program of the proxy started
/// us. No connection is used twice: on a reused one the HTTP client itself may send a request again.
static HTTP: LazyLock<SharedHttpClient> = LazyLock::new(|| {
    let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let builder = Builder::new().pool_max_idle_per_host(0).tls_provider(ring);
    let trusted = roots::usable().iter().fold(tls::TrustStore::empty(), |trusted, root| {
        trusted.with_pem_certificate(pem(root).into_bytes())
    });
    match tls::TlsContext::builder().with_trust_store(trusted).build() {
        Ok(context) => builder.tls_context(context).build_https(),
        // It has no way to fail.
        Err(_) => builder.build_https(),
    }
});

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

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
