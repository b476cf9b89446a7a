//! Clients that sign with `aws-sigv4`, as the SDK for Rust does.

use std::time::SystemTime;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest,
    SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::request::Parts;
use jiff::Timestamp;

pub const ID: &str = "RKPLACEHOLDER0000001";
pub const SECRET: &str = "placeholderSECRETplaceholderSECRETplaceh";
pub const HOST: &str = "127.0.0.1:25000";

/// When all of it happens.
pub fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// How a client signs.
pub struct Client<'a> {
    pub id: &'a str,
    pub secret: &'a str,
    pub token: Option<&'a str>,
    pub region: &'a str,
    pub service: &'a str,
    pub at: Timestamp,
    /// Whether the signature goes into the URL.
    pub in_url: bool,
}

impl Default for Client<'_> {
    fn default() -> Self {
        Self {
            id: ID,
            secret: SECRET,
            token: None,
            region: "eu-west-1",
            service: "s3",
            at: now(),
            in_url: false,
        }
    }
}

impl Client<'_> {
    pub fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings.session_token_mode = SessionTokenMode::Include;
        if self.in_url {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(std::time::Duration::from_secs(900));
        }
        settings
    }

    /// Signs a request. The URI may be a path: it gets the proxy's host.
    pub fn sign(&self, mut request: http::Request<()>, body: SignableBody<'_>) -> Parts {
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", HOST.parse().unwrap());
        }
        let identity = aws_credential_types::Credentials::new(
            self.id,
            self.secret,
            self.token.map(str::to_owned),
            None,
            "test",
        );
        let identity = identity.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(SystemTime::from(self.at))
            .settings(self.settings())
            .build()
            .unwrap();
        let uri = request.uri().to_string();
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable = SignableRequest::new(request.method().as_str(), uri, headers, body).unwrap();
        let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        // It may have made the target absolute.
        let target = request.uri().path_and_query().unwrap().clone();
        *request.uri_mut() = http::Uri::from(target);
        request.into_parts().0
    }
}

/// A request without a signature.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> http::Request<()> {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}
