//! Failures, grouped by whose fault they are: that is who can mend them.

use crate::iam::{Doubt, Refusal};

/// Why a rotation does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The AWS account said no.
    #[error("AWS refused {act}: {refusal}")]
    Account {
        /// What was asked, as IAM names it: `iam:DeleteAccessKey`.
        act: String,
        /// Its answer.
        refusal: Refusal,
    },
    /// AWS could not be asked, or its answers were lost for longer than the policy allows.
    #[error("no answer to {act}: {doubt}")]
    Unreachable {
        /// What was asked.
        act: String,
        /// What was seen.
        doubt: Doubt,
    },
    /// The keystore is locked, absent, full or damaged, or does not hold what it should.
    #[error("{0}")]
    Keystore(String),
    /// The disk or a source on this machine failed.
    #[error("{0}")]
    Environment(String),
    /// What was asked for does not apply now.
    #[error("{0}")]
    Operator(String),
    /// The engine contradicts itself: a defect of rotakey.
    #[error("rotakey contradicts itself: {0}")]
    Bug(String),
}
