//! What was asked of AWS, call by call, for the evidence of an incident: AWS's own request ids are what CloudTrail has too.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use serde::{Deserialize, Serialize};

use super::classify::ErrorAnswer;

/// Further calls are not kept: a rotation that waits for hours asks again and again.
const KEPT_MAX: usize = 1000;

/// One call to AWS. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// When its answer came, or was given up, by our clock.
    pub time: Timestamp,
    /// Such as `iam:CreateAccessKey`.
    pub action: String,
    /// Which key signed.
    pub signer: AccessKeyId,
    /// Where it was signed for.
    pub region: String,
    /// The HTTP status; none if no answer came.
    pub status: Option<u16>,
    /// `Done`, AWS's error code, or `no answer`.
    pub outcome: String,
    /// AWS's request id.
    pub request_id: Option<String>,
    /// The answer's `Date` header, as AWS sent it.
    pub server_time: Option<String>,
}

/// Where calls are kept. Copies share what is kept.
#[derive(Clone, Debug, Default)]
pub struct CallLog(Arc<Mutex<Vec<Call>>>);

impl CallLog {
    /// What was kept so far, the oldest first; it is not kept here any more.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, call: Call) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() < KEPT_MAX {
            calls.push(call);
        }
    }
}

/// Keeps the calls of one client.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) log: CallLog,
    pub(super) signer: AccessKeyId,
    pub(super) region: String,
    pub(super) now: fn() -> Timestamp,
}

#[dyn_dispatch_hint]
impl Intercept for Keeper {
    fn name(&self) -> &'static str {
        "CallLog"
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let action = config.load::<Metadata>().map_or_else(String::new, |metadata| {
            format!("{}:{}", metadata.service().to_ascii_lowercase(), metadata.name())
        });
        let is_done = matches!(context.output_or_error(), Some(Ok(_)));
        let response = context.response();
        let header = |name: &str| {
            let value = response.and_then(|response| response.headers().get(name));
            value.map(str::to_owned)
        };
        self.log.keep(Call {
            time: (self.now)(),
            action,
            signer: self.signer.clone(),
            region: self.region.clone(),
            status: response.map(|response| response.status().as_u16()),
            outcome: outcome(response, is_done),
            request_id: header("x-amzn-requestid").or_else(|| header("x-amz-request-id")),
            server_time: header("date"),
        });
        Ok(())
    }
}

fn outcome(response: Option<&HttpResponse>, is_done: bool) -> String {
    let Some(response) = response else { return "no answer".to_owned() };
    if is_done {
        return "Done".to_owned();
    }
    let status = response.status().as_u16();
    let body = String::from_utf8_lossy(response.body().bytes().unwrap_or_default());
    let code = ErrorAnswer::from_body(status, &body).code;
    code.unwrap_or_else(|| "an answer that could not be read".to_owned())
}
