//! The words in which each protocol turns a request away.

use super::message::{ApiError, Protocol};

/// Why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Unsigned,
    /// Unknown, inactive, deleted, or not yet known.
    KeyUnknown,
    /// Not the session's token, or one where none belongs.
    TokenInvalid,
    TokenExpired,
    /// The request's time is too far off; in AWS's words.
    Skewed(String),
    /// The URL was good for a shorter time.
    UrlExpired,
    /// Not made with the secret, or not covering what it must.
    Forged,
}

impl Refused {
    pub(super) fn in_words(self, protocol: Protocol) -> ApiError {
        let (status, code, message) = match protocol {
            Protocol::Query => self.in_query(),
            Protocol::S3 => self.in_s3(),
            Protocol::Json => self.in_json(),
        };
        let own = if let Self::Skewed(own) = self { Some(own) } else { None };
        let message =
            own.filter(|_| protocol != Protocol::S3).unwrap_or_else(|| message.to_owned());
        ApiError::new(status, code, message)
    }

    fn in_query(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Unsigned => (403, "MissingAuthenticationToken", UNSIGNED),
            Self::KeyUnknown | Self::TokenInvalid => (403, "InvalidClientTokenId", UNKNOWN),
            Self::TokenExpired => (403, "ExpiredToken", EXPIRED),
            Self::Skewed(_) | Self::UrlExpired => {
                (403, "SignatureDoesNotMatch", "Signature expired")
            }
            Self::Forged => (403, "SignatureDoesNotMatch", FORGED),
        }
    }

    fn in_json(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Unsigned => (400, "MissingAuthenticationTokenException", UNSIGNED),
            Self::KeyUnknown | Self::TokenInvalid => (400, "UnrecognizedClientException", UNKNOWN),
            Self::TokenExpired => (400, "ExpiredTokenException", EXPIRED),
            Self::Skewed(_) | Self::UrlExpired => {
                (400, "InvalidSignatureException", "Signature expired")
            }
            Self::Forged => (400, "InvalidSignatureException", FORGED),
        }
    }

    fn in_s3(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Unsigned => (403, "AccessDenied", "Access Denied"),
            Self::KeyUnknown => {
                let message = "The AWS Access Key Id you provided does not exist in our records.";
                (403, "InvalidAccessKeyId", message)
            }
            Self::TokenInvalid => {
                (400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
            }
            Self::TokenExpired => (400, "ExpiredToken", "The provided token has expired."),
            Self::Skewed(_) => {
                let message =
                    "The difference between the request time and the current time is too large.";
                (403, "RequestTimeTooSkewed", message)
            }
            Self::UrlExpired => (403, "AccessDenied", "Request has expired"),
            Self::Forged => {
                let message = "The request signature we calculated does not match the signature you \
                               provided. Check your key and signing method.";
                (403, "SignatureDoesNotMatch", message)
            }
        }
    }
}

/// Too many calls.
pub(super) fn throttled(protocol: Protocol) -> ApiError {
    match protocol {
        Protocol::Query => ApiError::throttled(),
        Protocol::S3 => ApiError::new(503, "SlowDown", "Please reduce your request rate."),
        Protocol::Json => ApiError::new(400, "ThrottlingException", "Rate exceeded"),
    }
}

const UNSIGNED: &str = "Request is missing Authentication Token";
const UNKNOWN: &str = "The security token included in the request is invalid.";
const EXPIRED: &str = "The security token included in the request is expired";
const FORGED: &str = "The request signature we calculated does not match the signature you provided. Check \
                      your AWS Secret Access Key and signing method. Consult the service documentation for \
                      details.";
