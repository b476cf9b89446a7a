//! What an answer of AWS means: error code, message and HTTP status in, a class out.

use rotakey_core::iam::{Doubt, Outcome, Refusal, RefusalClass};

/// An error answer, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The HTTP status.
    pub status: u16,
    /// `<Code>`, if there was one.
    pub code: Option<String>,
    /// `<Message>`, or nothing.
    pub message: String,
}

/// Longer messages are cut: they end up in the journal.
const MESSAGE_CHARS: usize = 500;

impl ErrorAnswer {
    /// Reads the error out of a body of the Query protocol.
    ///
    /// Both shapes are read: `<ErrorResponse><Error>` of AWS, and `<ErrorResponse><Errors><Error>` of
    /// compatible servers, in which the SDK finds no code.
    pub fn from_body(status: u16, body: &str) -> Self {
        let code = tag(body, "Code").filter(|code| !code.is_empty());
        Self { status, code, message: tag(body, "Message").unwrap_or_default() }
    }

    /// What became of the call that got this answer.
    pub fn outcome<T>(self) -> Outcome<T> {
        let Self { status, code, message } = self;
        let message: String = message.chars().take(MESSAGE_CHARS).collect();
        // Whoever answers without a code may be a proxy on the way: it cannot say what IAM did.
        let Some(code) = code else {
            return unknown(format!("HTTP {status} without an AWS error code"));
        };
        match class(status, &code, &message) {
            Some(class) => Outcome::Refused(Refusal { class, code, message }),
            None => unknown(format!("HTTP {status} {code}: {message}")),
        }
    }
}

/// A doubt about a call that may have reached the service.
pub fn unknown<T>(reason: impl Into<String>) -> Outcome<T> {
    Outcome::Unknown(Doubt { sent: true, reason: reason.into() })
}

/// The class of an error, or `None` if the call may have been carried out all the same.
pub fn class(status: u16, code: &str, message: &str) -> Option<RefusalClass> {
    use RefusalClass as C;
    Some(match code {
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" => {
            C::KeyUnknown
        }
        "AuthFailure" | "NotAuthorized" => C::KeyUnknown,
        "SignatureDoesNotMatch" | "InvalidSignatureException" if is_about_time(message) => C::Clock,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => C::Clock,
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
            C::WrongSecret
        }
        "MissingAuthenticationToken" | "MissingAuthenticationTokenException" => C::WrongSecret,
        "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired" => {
            C::Expired
        }
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            match message.contains("AWSCompromisedKeyQuarantine") {
                true => C::Quarantine,
                false => C::Permission,
            }
        }
        "OptInRequired" | "SubscriptionRequiredException" | "RegionDisabledException" => {
            C::Permission
        }
        // `LimitExceeded` is a quota; with `Exception` at its end it is a throttle.
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "EC2ThrottledException"
        | "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "TransactionInProgressException" => C::Throttled,
        "ServiceFailure"
        | "InternalFailure"
        | "InternalError"
        | "ServiceUnavailable"
        | "RequestTimeout"
        | "RequestTimeoutException" => return None,
        // Whatever the code says, a 5xx is no proof that nothing was done.
        _ if !(400..500).contains(&status) || status == 408 => return None,
        "LimitExceeded" => C::Quota,
        "NoSuchEntity" => C::NoSuchEntity,
        "EntityTemporarilyUnmodifiable" | "ConcurrentModification" | "DeleteConflict" => {
            C::Conflict
        }
        _ => C::Invalid,
    })
}

fn is_about_time(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("signature expired") || message.contains("not yet current")
}

/// The text of the first element of this name.
fn tag(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(unescape(text.trim()))
}

/// `&amp;` comes last, so that `&amp;lt;` does not become `<`.
fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&apos;", "'").replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        use RefusalClass as C;
        let table = [
            (403, "InvalidClientTokenId", "", Some(C::KeyUnknown)),
            (401, "AuthFailure", "", Some(C::KeyUnknown)),
            (
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated",
                Some(C::WrongSecret),
            ),
            (
                403,
                "SignatureDoesNotMatch",
                "Signature expired: 2026 is now earlier",
                Some(C::Clock),
            ),
            (403, "SignatureDoesNotMatch", "Signature not yet current: 2026", Some(C::Clock)),
            (403, "ExpiredToken", "", Some(C::Expired)),
            (403, "AccessDenied", "no identity-based policy allows", Some(C::Permission)),
            (
                403,
                "AccessDenied",
                "with an explicit deny in policy/AWSCompromisedKeyQuarantineV3",
                Some(C::Quarantine),
            ),
            (400, "Throttling", "Rate exceeded", Some(C::Throttled)),
            (503, "Throttling", "Rate exceeded", Some(C::Throttled)),
            (409, "LimitExceeded", "quota", Some(C::Quota)),
            (400, "LimitExceededException", "", Some(C::Throttled)),
            (404, "NoSuchEntity", "", Some(C::NoSuchEntity)),
            (409, "EntityTemporarilyUnmodifiable", "", Some(C::Conflict)),
            (400, "ValidationError", "", Some(C::Invalid)),
            (418, "NeverHeardOf", "", Some(C::Invalid)),
            (500, "ServiceFailure", "", None),
            (500, "LimitExceeded", "", None),
            (503, "ServiceUnavailable", "", None),
            (400, "RequestTimeout", "", None),
        ];
        for (status, code, message, expected) in table {
            assert_eq!(class(status, code, message), expected, "{status} {code} {message}");
        }
    }

    #[test]
    fn both_shapes_of_error_bodies_are_read() {
        let aws = "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code>\
                   <Message>a &amp;lt; b</Message></Error></ErrorResponse>";
        let other = "<ErrorResponse><Errors><Error><Code>NoSuchEntity</Code>\
                     <Message>a &amp;lt; b</Message></Error></Errors></ErrorResponse>";
        for body in [aws, other] {
            let answer = ErrorAnswer::from_body(404, body);
            assert_eq!(answer.code.as_deref(), Some("NoSuchEntity"));
            assert_eq!(answer.message, "a &lt; b");
        }
    }

    #[test]
    fn an_answer_without_a_code_proves_nothing() {
        let outcome: Outcome<()> = ErrorAnswer::from_body(403, "<html>Forbidden</html>").outcome();
        assert!(matches!(outcome, Outcome::Unknown(Doubt { sent: true, .. })), "{outcome:?}");
    }
}
