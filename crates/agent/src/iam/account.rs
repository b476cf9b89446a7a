//! What IAM says of the account as a whole.

use aws_sdk_iam::types::SummaryKeyType;
use rotakey_core::credential::Credentials;
use rotakey_core::iam::Outcome;

use super::aws::{AwsKeyService, failed};
use super::classify::unknown;

impl AwsKeyService {
    /// `iam:GetAccountSummary`: whether the account's root has access keys. No list of users shows them.
    pub async fn root_has_keys(&self, signer: &Credentials) -> Outcome<bool> {
        let answer = match self.plain(signer).get_account_summary().send().await {
            Ok(answer) => answer,
            Err(error) => return failed(error),
        };
        let figures = answer.summary_map();
        match figures.and_then(|map| map.get(&SummaryKeyType::AccountAccessKeysPresent)) {
            Some(count) => Outcome::Done(*count > 0),
            None => unknown("GetAccountSummary does not say whether root has access keys"),
        }
    }
}
