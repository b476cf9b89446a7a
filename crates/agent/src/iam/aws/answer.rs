//! What an answer of the SDK says: half of one says nothing.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_iam::types::StatusType;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use jiff::Timestamp;
use rotakey_core::credential::KeyStatus;
use rotakey_core::iam::{ListedKey, Outcome};

use crate::iam::Temporary;
use crate::iam::classify::unknown;

/// Keeps the `Date` header of the last answer, which the SDK's outputs do not carry.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerDate(Arc<Mutex<Option<Timestamp>>>);

impl ServerDate {
    pub(super) fn get(&self) -> Option<Timestamp> {
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
pub(super) fn temporary(
    act: &str,
    given: Option<aws_sdk_sts::types::Credentials>,
) -> Outcome<Temporary> {
    let whole = given.as_ref().and_then(|given| {
        let expires = timestamp(given.expiration())?;
        let (id, secret) = (given.access_key_id(), given.secret_access_key());
        Temporary::whole(id, secret, given.session_token(), expires)
    });
    whole.map_or_else(|| unknown(format!("{act} answered no whole credentials")), Outcome::Done)
}

/// Whole seconds, as IAM itself has them; compatible servers send fractions.
pub(super) fn timestamp(date: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::from_second(date.secs()).ok()
}

/// A key of a list, if it can be read.
pub(super) fn listed(key: &aws_sdk_iam::types::AccessKeyMetadata) -> Option<ListedKey> {
    let status = match key.status()? {
        StatusType::Active => KeyStatus::Active,
        StatusType::Inactive => KeyStatus::Inactive,
        _ => return None,
    };
    let created = timestamp(key.create_date()?)?;
    Some(ListedKey { access_key_id: key.access_key_id()?.parse().ok()?, status, created })
}
