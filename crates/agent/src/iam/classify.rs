//! What AWS's error codes mean to the engine.
//!
//! The codes and their classes are those of the services' API references ("Common errors") and of
//! botocore's and aws-runtime's retry lists.

use rotakey_core::iam::{Refusal, RefusalClass};

/// The class of a definite "no"; `None` if the answer leaves open whether the call was carried out.
pub fn classify(status: u16, code: &str, message: &str) -> Option<RefusalClass> {
    let class = match code {
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "AuthFailure"
        | "NotAuthorized" => RefusalClass::KeyUnknown,
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            let m = message.to_ascii_lowercase();
            if m.contains("signature expired") || m.contains("not yet current") {
                RefusalClass::Clock
            } else {
                RefusalClass::WrongSecret
            }
        }
        "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => RefusalClass::WrongSecret,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => RefusalClass::Clock,
        "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired" => {
            RefusalClass::Expired
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "OptInRequired"
        | "SubscriptionRequiredException"
        | "RegionDisabledException" => {
            if message.contains("AWSCompromisedKeyQuarantine") {
                RefusalClass::Quarantine
            } else {
                RefusalClass::Permission
            }
        }
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete" => RefusalClass::Throttled,
        "LimitExceeded" => RefusalClass::Quota,
        "NoSuchEntity" => RefusalClass::NoSuchEntity,
        "EntityTemporarilyUnmodifiable" | "ConcurrentModification" => RefusalClass::Conflict,
        _ if (400..500).contains(&status)
            && status != 408
            && !code.starts_with("RequestTimeout") =>
        {
            RefusalClass::Invalid
        }
        _ => return None,
    };
    Some(class)
}

/// The code and message in an error body, in both shapes that are met: `<ErrorResponse><Error>` and, from
/// some servers, `<ErrorResponse><Errors><Error>`, which the SDK does not read.
pub fn code_in_body(body: &str) -> Option<(String, String)> {
    let within = |tag: &str| {
        let start = body.find(&format!("<{tag}>"))? + tag.len() + 2;
        let end = body[start..].find(&format!("</{tag}>"))? + start;
        Some(body[start..end].trim().to_owned())
    };
    Some((within("Code")?, within("Message").unwrap_or_default()))
}

/// A refusal, in AWS's own words.
pub fn refusal(class: RefusalClass, code: &str, message: &str) -> Refusal {
    Refusal { class, code: code.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_classes() {
        use RefusalClass as C;
        let quarantine = "explicit deny in arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3";
        for (status, code, message, class) in [
            (403, "InvalidClientTokenId", "", Some(C::KeyUnknown)),
            (
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated",
                Some(C::WrongSecret),
            ),
            (403, "SignatureDoesNotMatch", "Signature expired: 1 is now earlier", Some(C::Clock)),
            (403, "SignatureDoesNotMatch", "Signature not yet current: 1", Some(C::Clock)),
            (403, "AccessDenied", "User: x is not authorized", Some(C::Permission)),
            (403, "AccessDenied", quarantine, Some(C::Quarantine)),
            (409, "LimitExceeded", "", Some(C::Quota)),
            (404, "NoSuchEntity", "", Some(C::NoSuchEntity)),
            (400, "Throttling", "Rate exceeded", Some(C::Throttled)),
            (503, "SlowDown", "", Some(C::Throttled)),
            (400, "ValidationError", "", Some(C::Invalid)),
            (418, "Novel", "", Some(C::Invalid)),
            (500, "ServiceFailure", "", None),
            (503, "ServiceUnavailable", "", None),
            (408, "RequestTimeout", "", None),
            (400, "RequestTimeout", "", None),
            (500, "", "", None),
        ] {
            assert_eq!(classify(status, code, message), class, "{status} {code} {message}");
        }
    }

    #[test]
    fn both_shapes_of_error_bodies_are_read() {
        for body in [
            "<ErrorResponse><Error><Type>Sender</Type><Code>X</Code><Message>m</Message></Error></ErrorResponse>",
            "<ErrorResponse><Errors><Error><Code>X</Code><Message>m</Message></Error></Errors></ErrorResponse>",
        ] {
            assert_eq!(code_in_body(body), Some(("X".into(), "m".into())));
        }
        assert_eq!(code_in_body("<html>502</html>"), None);
    }
}
