//! What an error of the SDK means.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rotakey_core::iam::{Doubt, Outcome};
use rotakey_endpoint::proxy::roots;

use crate::iam::classify::{ErrorAnswer, unknown};

/// Why no server can be believed.
pub const NO_ROOTS: &str = "this system has no root certificates";

/// And what helps.
pub const ROOTS_HINT: &str = "install ca-certificates, or name a file of them in SSL_CERT_FILE";
/// What an error of the SDK means.
pub(in crate::iam) fn failed<T, E>(error: SdkError<E, HttpResponse>) -> Outcome<T>
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
    let mut reason = words.last().cloned().unwrap_or_else(|| error.to_string());
    if connecting && reason.contains("certificate") && roots::usable().is_empty() {
        reason = format!("{NO_ROOTS}; {ROOTS_HINT}");
    }
    let reason = if connecting { format!("cannot connect: {reason}") } else { reason };
    Outcome::Unknown(Doubt { sent: !connecting, reason })
}

/// The same, of a call whose answer says nothing.
pub(super) fn done<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> Outcome<()>
where
    E: Error + ProvideErrorMetadata + 'static,
{
    result.map_or_else(failed, |_| Outcome::Done(()))
}
