//! Signing, as SDKs do it: by `aws-sigv4`, which knows nothing of the proxy.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::http::Headers;
use bytes::Bytes;

/// A key, and the server that it is good for.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) secret: String,
    /// `127.0.0.1:PORT`.
    pub(crate) host: String,
}

/// A request's head, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// Signs what comes behind a head.
pub(crate) struct Chain {
    identity: Identity,
    time: SystemTime,
    last: String,
}

impl Signer {
    /// Signs a head for a body that is signed so; in the URL or in a header.
    pub(crate) fn head(
        &self,
        service: &str,
        (method, target): (&'static str, &str),
        headers: &[(&str, &str)],
        body: SignableBody<'_>,
        in_url: bool,
    ) -> (Head, Chain) {
        let time = SystemTime::now();
        let identity = Identity::from(Credentials::new(&self.id, &self.secret, None, None, "test"));
        let mut settings = SigningSettings::default();
        if service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        if in_url {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(300));
            settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(service)
            .time(time)
            .settings(settings)
            .build()
            .unwrap();
        let url = format!("http://{}{target}", self.host);
        let mut request = http::Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.header("host", &self.host).body(()).unwrap();
        let lines = request.headers().iter();
        let lines = lines.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable = SignableRequest::new(method, &url, lines, body).unwrap();
        let (orders, signature) = sign(signable, &params.into()).unwrap().into_parts();
        orders.apply_to_request_http1x(&mut request);
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let lines = request.headers().iter();
        let headers = lines.map(|(name, value)| (name.to_string(), text(value))).collect();
        let target = request.uri().path_and_query().unwrap().to_string();
        (Head { method, target, headers }, Chain { identity, time, last: signature })
    }
}

impl Chain {
    fn params(&self) -> v4::SigningParams<'_, ()> {
        v4::SigningParams::builder()
            .identity(&self.identity)
            .region("us-east-1")
            .name("s3")
            .time(self.time)
            .settings(())
            .build()
            .unwrap()
    }

    /// The signature of the next chunk.
    pub(crate) fn chunk(&mut self, data: &[u8]) -> &str {
        let data = Bytes::copy_from_slice(data);
        self.last = v4::sign_chunk(&data, &self.last, &self.params()).unwrap().into_parts().1;
        &self.last
    }

    /// The signature of the one header behind the last chunk.
    pub(crate) fn trailer(&mut self, name: &'static str, value: &str) -> &str {
        let mut headers = Headers::new();
        headers.insert(name, value.to_owned());
        self.last = v4::sign_trailer(&headers, &self.last, &self.params()).unwrap().into_parts().1;
        &self.last
    }
}

impl Head {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }
}
