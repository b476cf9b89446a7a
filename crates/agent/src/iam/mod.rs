//! IAM and STS, as the engine's orders need them.

mod account;
pub mod aws;
pub mod calls;
pub mod classify;
#[cfg(test)]
mod faults;
pub mod patience;
mod temporary;

use std::time::Duration;

use rotakey_core::credential::{AccessKeyId, Credentials, KeyStatus};
use rotakey_core::iam::{CallerIdentity, KeyList, LastUsed, NewKey, Outcome};

pub use temporary::{AssumeRole, Mfa, MfaCode, Temporary};

/// The calls that rotakey makes. Every one names its signer, and the IAM ones name the user.
pub trait KeyService {
    /// `sts:GetCallerIdentity`, at the STS of `region`. It needs no permission and cannot be denied.
    fn caller_identity(
        &self,
        signer: &Credentials,
        region: &str,
    ) -> impl Future<Output = Outcome<CallerIdentity>>;

    /// `iam:ListAccessKeys`, all pages.
    fn list_access_keys(
        &self,
        signer: &Credentials,
        user: &str,
    ) -> impl Future<Output = Outcome<KeyList>>;

    /// `iam:CreateAccessKey`, sent once and never again: it has no idempotency token, so a retry makes a second key.
    /// `rotation` goes into the user agent, where CloudTrail shows it.
    fn create_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        rotation: &str,
    ) -> impl Future<Output = Outcome<NewKey>>;

    /// `iam:UpdateAccessKey`.
    fn update_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        id: &AccessKeyId,
        status: KeyStatus,
    ) -> impl Future<Output = Outcome<()>>;

    /// `iam:DeleteAccessKey`.
    fn delete_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        id: &AccessKeyId,
    ) -> impl Future<Output = Outcome<()>>;

    /// `iam:GetAccessKeyLastUsed`; `None` if the key was never used.
    fn access_key_last_used(
        &self,
        signer: &Credentials,
        id: &AccessKeyId,
    ) -> impl Future<Output = Outcome<Option<LastUsed>>>;

    /// `iam:SimulatePrincipalPolicy` of `actions` (such as `iam:CreateAccessKey`) on the user; answers those denied.
    fn denied_actions(
        &self,
        signer: &Credentials,
        user_arn: &str,
        actions: &[&str],
    ) -> impl Future<Output = Outcome<Vec<String>>>;

    /// `iam:ListUserTags`, all pages, as (key, value).
    fn user_tags(
        &self,
        signer: &Credentials,
        user: &str,
    ) -> impl Future<Output = Outcome<Vec<(String, String)>>>;

    /// `iam:TagUser` with one tag.
    fn tag_user(
        &self,
        signer: &Credentials,
        user: &str,
        key: &str,
        value: &str,
    ) -> impl Future<Output = Outcome<()>>;

    /// `iam:UntagUser` of one tag.
    fn untag_user(
        &self,
        signer: &Credentials,
        user: &str,
        key: &str,
    ) -> impl Future<Output = Outcome<()>>;

    /// `iam:ListAttachedUserPolicies`, all pages: the policies' names.
    fn attached_policies(
        &self,
        signer: &Credentials,
        user: &str,
    ) -> impl Future<Output = Outcome<Vec<String>>>;

    /// `iam:PutUserPolicy`: an inline policy of the user, as JSON. One of that name is replaced.
    fn put_user_policy(
        &self,
        signer: &Credentials,
        user: &str,
        name: &str,
        document: &str,
    ) -> impl Future<Output = Outcome<()>>;

    /// `iam:ListUsers`, all pages: the users' names.
    fn list_users(&self, signer: &Credentials) -> impl Future<Output = Outcome<Vec<String>>>;

    /// `sts:GetSessionToken`, at the STS of `region`, signed by a long-term key. With `mfa` the session counts as
    /// authenticated with MFA.
    fn get_session_token(
        &self,
        signer: &Credentials,
        region: &str,
        duration: Duration,
        mfa: Option<&Mfa>,
    ) -> impl Future<Output = Outcome<Temporary>>;

    /// `sts:AssumeRole`, at the STS of `region`.
    fn assume_role(
        &self,
        signer: &Credentials,
        region: &str,
        role: &AssumeRole,
    ) -> impl Future<Output = Outcome<Temporary>>;
}
