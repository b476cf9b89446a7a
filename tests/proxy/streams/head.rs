//! The signature of a head, by `aws-sigv4`: for a client that signs, and for a server that compares.

use std::time::SystemTime;

use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningInstructions, SigningSettings,
};
use aws_sigv4::sign::v4;
use jiff::Timestamp;

/// Whose signature, and what for.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) at: Timestamp,
}

impl Signer {
    /// Signs these headers, `Host` and the date; gives back the signature and what has to be added.
    pub(super) fn sign(
        &self,
        method: &str,
        uri: &str,
        headers: &[(String, String)],
        payload: &str,
    ) -> (String, SigningInstructions) {
        let identity =
            aws_credential_types::Credentials::new(&self.id, &self.secret, None, None, "test");
        let identity = identity.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::from(self.at))
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let headers = headers.iter().map(|(name, value)| (&**name, &**value));
        let body = SignableBody::Precomputed(payload.to_owned());
        let signable = SignableRequest::new(method, uri, headers, body).unwrap();
        let output = aws_sigv4::http_request::sign(signable, &params.into()).unwrap();
        let (instructions, signature) = output.into_parts();
        (signature, instructions)
    }
}
