//! The in-process front: the agent's own `KeyService`, without a network and on any clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, KeyStatus, SecretAccessKey};
use rotakey_core::iam::{
    CallerIdentity, Doubt, KeyList, LastUsed, ListedKey, NewKey, Outcome, Refusal, RefusalClass,
};
use subtle::ConstantTimeEq;

use super::answer::{Answer, KeyRow};
use super::http::{Clock, Shared, lock};
use super::message::{ApiError, Call, Delivery, Request, Signature};
use crate::iam::{AssumeRole, KeyService, Mfa, Temporary};

/// A client of a simulator in the same process. A reply that hangs is an immediate doubt.
#[derive(Clone)]
pub struct InProcess {
    simulator: Shared,
    clock: Clock,
    signing: Clock,
}

impl InProcess {
    /// A client that signs, and a server that answers, by `clock`.
    pub fn new(simulator: Shared, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let clock: Clock = Arc::new(clock);
        Self { simulator, signing: Arc::clone(&clock), clock }
    }

    /// The same, with a client whose clock is another one than the server's.
    #[must_use]
    pub fn signing_by(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.signing = Arc::new(clock);
        self
    }

    fn call(
        &self,
        signer: &Credentials,
        service: &str,
        region: &str,
        action: &str,
        params: &[(&str, &str)],
        user_agent: &str,
    ) -> Outcome<(Answer, Timestamp)> {
        let now = (self.clock)();
        let mut simulator = lock(&self.simulator);
        let given = signer.secret_access_key.expose().as_bytes();
        let id = signer.access_key_id.as_str();
        let right = simulator.secret_of(id).is_some_and(|own| own.as_bytes().ct_eq(given).into());
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let params: BTreeMap<_, _> = params.iter().map(pair).collect();
        let reply = simulator.handle(
            now,
            &Request {
                action: action.to_owned(),
                params,
                signature: Some(Signature {
                    signer: id.to_owned(),
                    token: signer.session_token.clone(),
                    token_signed: true,
                    region: region.to_owned(),
                    is_right: right,
                    signed_at: Some((self.signing)()),
                    expires_seconds: None,
                }),
                service: service.to_owned(),
                user_agent: user_agent.to_owned(),
                call: Call::Query,
                admitted: None,
            },
        );
        let doubt = |reason: &str| {
            Outcome::Unknown(Doubt { sent: true, reason: format!("{action}: {reason}") })
        };
        match (reply.delivery, reply.result) {
            (Delivery::Dropped, _) => doubt("connection closed before the answer"),
            (Delivery::Hung, _) => doubt("no answer in time"),
            (Delivery::Truncated, _) => doubt("connection closed within the answer"),
            (Delivery::Sent, Ok(answer)) => Outcome::Done((answer, reply.server_time)),
            (Delivery::Sent, Err(error)) if error.status >= 500 => {
                doubt(&format!("{} {}", error.status, error.code))
            }
            (Delivery::Sent, Err(error)) => Outcome::Refused(refusal(error)),
        }
    }

    fn iam(
        &self,
        signer: &Credentials,
        action: &str,
        params: &[(&str, &str)],
    ) -> Outcome<(Answer, Timestamp)> {
        let region = lock(&self.simulator).behaviour().iam_region();
        self.call(signer, "iam", region, action, params, "rotakey")
    }

    fn keys(&self, signer: &Credentials, user: &str) -> Outcome<KeyList> {
        let answer = self.iam(signer, "ListAccessKeys", &[("UserName", user)]);
        expect(answer, |answer, server_time| match answer {
            Answer::Keys { keys, marker: None, .. } => {
                let keys = keys.iter().map(listed).collect::<Option<_>>()?;
                Some(KeyList { keys, server_time })
            }
            _ => None,
        })
    }

    fn identity(&self, signer: &Credentials, region: &str) -> Outcome<CallerIdentity> {
        let answer = self.call(signer, "sts", region, "GetCallerIdentity", &[], "rotakey");
        expect(answer, |answer, _| match answer {
            Answer::Identity { account, arn, .. } => {
                Some(CallerIdentity { account_id: account, arn })
            }
            _ => None,
        })
    }

    fn temporary(
        &self,
        signer: &Credentials,
        region: &str,
        action: &str,
        params: &[(&str, &str)],
    ) -> Outcome<Temporary> {
        let answer = self.call(signer, "sts", region, action, params, "rotakey");
        expect(answer, |answer, _| match answer {
            Answer::Session(row, _) => {
                Temporary::whole(&row.id, &row.secret, &row.token, row.expires)
            }
            _ => None,
        })
    }
}

fn listed(row: &KeyRow) -> Option<ListedKey> {
    let access_key_id = row.id.parse().ok()?;
    Some(ListedKey { access_key_id, status: row.status, created: row.created })
}

/// Takes the expected answer apart; another one would be a fault of the simulator and is a doubt.
fn expect<T>(
    outcome: Outcome<(Answer, Timestamp)>,
    take: impl FnOnce(Answer, Timestamp) -> Option<T>,
) -> Outcome<T> {
    match outcome {
        Outcome::Done((answer, server_time)) => match take(answer, server_time) {
            Some(value) => Outcome::Done(value),
            None => {
                Outcome::Unknown(Doubt { sent: true, reason: "not the expected answer".to_owned() })
            }
        },
        Outcome::Refused(refusal) => Outcome::Refused(refusal),
        Outcome::Unknown(doubt) => Outcome::Unknown(doubt),
    }
}

fn refusal(error: ApiError) -> Refusal {
    let ApiError { code, message, .. } = error;
    let class = match code.as_str() {
        "InvalidClientTokenId" => RefusalClass::KeyUnknown,
        "SignatureDoesNotMatch"
            if message.starts_with("Signature expired")
                || message.starts_with("Signature not yet current") =>
        {
            RefusalClass::Clock
        }
        "SignatureDoesNotMatch" => RefusalClass::WrongSecret,
        "ExpiredToken" => RefusalClass::Expired,
        "AccessDenied" if message.contains("AWSCompromisedKeyQuarantine") => {
            RefusalClass::Quarantine
        }
        "AccessDenied" => RefusalClass::Permission,
        "Throttling" => RefusalClass::Throttled,
        "LimitExceeded" => RefusalClass::Quota,
        "NoSuchEntity" => RefusalClass::NoSuchEntity,
        "EntityTemporarilyUnmodifiable" | "ConcurrentModification" => RefusalClass::Conflict,
        _ => RefusalClass::Invalid,
    };
    Refusal { class, code, message }
}

impl KeyService for InProcess {
    async fn caller_identity(&self, signer: &Credentials, region: &str) -> Outcome<CallerIdentity> {
        self.identity(signer, region)
    }

    async fn list_access_keys(&self, signer: &Credentials, user: &str) -> Outcome<KeyList> {
        self.keys(signer, user)
    }

    async fn create_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        rotation: &str,
    ) -> Outcome<NewKey> {
        let region = lock(&self.simulator).behaviour().iam_region();
        let agent = format!("rotakey rotation/{rotation}");
        let params = [("UserName", user)];
        let answer = self.call(signer, "iam", region, "CreateAccessKey", &params, &agent);
        expect(answer, |answer, _| match answer {
            Answer::Created { key, secret } => {
                let access_key_id = key.id.parse().ok()?;
                let secret_access_key = SecretAccessKey::new(secret);
                let credentials = Credentials::long_term(access_key_id, secret_access_key);
                Some(NewKey { credentials, created: key.created })
            }
            _ => None,
        })
    }

    async fn update_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        id: &AccessKeyId,
        status: KeyStatus,
    ) -> Outcome<()> {
        let status = status.to_string();
        let params = [("UserName", user), ("AccessKeyId", id.as_str()), ("Status", &status)];
        self.iam(signer, "UpdateAccessKey", &params).map(drop)
    }

    async fn delete_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        id: &AccessKeyId,
    ) -> Outcome<()> {
        let params = [("UserName", user), ("AccessKeyId", id.as_str())];
        self.iam(signer, "DeleteAccessKey", &params).map(drop)
    }

    async fn access_key_last_used(
        &self,
        signer: &Credentials,
        id: &AccessKeyId,
    ) -> Outcome<Option<LastUsed>> {
        let answer = self.iam(signer, "GetAccessKeyLastUsed", &[("AccessKeyId", id.as_str())]);
        expect(answer, |answer, _| match answer {
            Answer::LastUsed { last, .. } => Some(last.map(|last| LastUsed {
                at: last.at,
                service: last.service,
                region: last.region,
            })),
            _ => None,
        })
    }

    async fn denied_actions(
        &self,
        signer: &Credentials,
        user_arn: &str,
        actions: &[&str],
    ) -> Outcome<Vec<String>> {
        let names: Vec<_> =
            (1..=actions.len()).map(|n| format!("ActionNames.member.{n}")).collect();
        let names = names.iter().map(String::as_str).zip(actions.iter().copied());
        let params: Vec<_> = [("PolicySourceArn", user_arn), ("ResourceArns.member.1", user_arn)]
            .into_iter()
            .chain(names)
            .collect();
        expect(self.iam(signer, "SimulatePrincipalPolicy", &params), |answer, _| match answer {
            Answer::Decisions(decisions) => {
                let denied = decisions.into_iter().filter(|(_, decision)| *decision != "allowed");
                Some(denied.map(|(action, _)| action).collect())
            }
            _ => None,
        })
    }

    async fn user_tags(&self, signer: &Credentials, user: &str) -> Outcome<Vec<(String, String)>> {
        let answer = self.iam(signer, "ListUserTags", &[("UserName", user)]);
        expect(answer, |answer, _| match answer {
            Answer::Tags(tags) => Some(tags),
            _ => None,
        })
    }

    async fn tag_user(
        &self,
        signer: &Credentials,
        user: &str,
        key: &str,
        value: &str,
    ) -> Outcome<()> {
        let params =
            [("UserName", user), ("Tags.member.1.Key", key), ("Tags.member.1.Value", value)];
        self.iam(signer, "TagUser", &params).map(drop)
    }

    async fn untag_user(&self, signer: &Credentials, user: &str, key: &str) -> Outcome<()> {
        let params = [("UserName", user), ("TagKeys.member.1", key)];
        self.iam(signer, "UntagUser", &params).map(drop)
    }

    async fn attached_policies(&self, signer: &Credentials, user: &str) -> Outcome<Vec<String>> {
        let answer = self.iam(signer, "ListAttachedUserPolicies", &[("UserName", user)]);
        expect(answer, |answer, _| match answer {
            Answer::Policies(policies) => {
                Some(policies.into_iter().map(|(name, _)| name).collect())
            }
            _ => None,
        })
    }

    async fn put_user_policy(
        &self,
        signer: &Credentials,
        user: &str,
        name: &str,
        document: &str,
    ) -> Outcome<()> {
        let params = [("UserName", user), ("PolicyName", name), ("PolicyDocument", document)];
        self.iam(signer, "PutUserPolicy", &params).map(drop)
    }

    async fn list_users(&self, signer: &Credentials) -> Outcome<Vec<String>> {
        // As many as AWS gives at a time: no account of these tests has more.
        let all = [("MaxItems", "1000")];
        expect(self.iam(signer, "ListUsers", &all), |answer, _| match answer {
            Answer::Users(users, None) => Some(users.into_iter().map(|user| user.name).collect()),
            _ => None,
        })
    }

    async fn get_session_token(
        &self,
        signer: &Credentials,
        region: &str,
        duration: Duration,
        mfa: Option<&Mfa>,
    ) -> Outcome<Temporary> {
        let seconds = duration.as_secs().to_string();
        let mut params = vec![("DurationSeconds", seconds.as_str())];
        params.extend(mfa.into_iter().flat_map(shown));
        self.temporary(signer, region, "GetSessionToken", &params)
    }

    async fn assume_role(
        &self,
        signer: &Credentials,
        region: &str,
        role: &AssumeRole,
    ) -> Outcome<Temporary> {
        let seconds = role.duration.as_secs().to_string();
        let mut params = vec![
            ("DurationSeconds", seconds.as_str()),
            ("RoleArn", &role.role_arn),
            ("RoleSessionName", &role.session_name),
        ];
        params.extend(role.external_id.as_deref().map(|id| ("ExternalId", id)));
        params.extend(role.mfa.iter().flat_map(shown));
        self.temporary(signer, region, "AssumeRole", &params)
    }
}

/// How a request shows MFA.
fn shown(mfa: &Mfa) -> [(&'static str, &str); 2] {
    [("SerialNumber", &mfa.serial), ("TokenCode", mfa.code.expose())]
}
