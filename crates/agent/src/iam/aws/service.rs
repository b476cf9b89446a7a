//! The calls themselves.

use std::time::Duration;

use aws_sdk_iam::types::{PolicyEvaluationDecisionType, StatusType, Tag};
use rotakey_core::credential::{AccessKeyId, Credentials, KeyStatus, SecretAccessKey};
use rotakey_core::iam::{CallerIdentity, Doubt, KeyList, LastUsed, NewKey, Outcome};

use super::AwsKeyService;
use super::answer::{ServerDate, listed, temporary, timestamp};
use super::failure::{done, failed};
use crate::iam::classify::unknown;
use crate::iam::patience::patiently;
use crate::iam::{AssumeRole, KeyService, Mfa, Temporary};

/// More pages than any account has: a server that never stops saying "more" must not hold us.
const MAX_PAGES: usize = 1000;
fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// Joins the pages of a list. Half a list is never an answer.
macro_rules! pages {
    ($request:expr, $items:ident) => {{
        let (mut all, mut marker) = (Vec::new(), None);
        let mut rest = MAX_PAGES;
        loop {
            let page = match $request.set_marker(marker).send().await {
                Ok(page) => page,
                Err(error) => return failed(error),
            };
            all.extend_from_slice(page.$items());
            marker = page.marker().filter(|_| page.is_truncated()).map(str::to_owned);
            match (page.is_truncated(), &marker) {
                (false, _) => break all,
                (true, None) => return unknown("a list was cut without saying where it goes on"),
                (true, Some(_)) => rest -= 1,
            }
            if rest == 0 {
                return unknown("a list without end");
            }
        }
    }};
}

impl KeyService for AwsKeyService {
    async fn caller_identity(&self, signer: &Credentials, region: &str) -> Outcome<CallerIdentity> {
        match self.sts(signer, region).get_caller_identity().send().await {
            Ok(answer) => match (answer.account, answer.arn) {
                (Some(account_id), Some(arn)) => Outcome::Done(CallerIdentity { account_id, arn }),
                _ => unknown("GetCallerIdentity named no account or no ARN"),
            },
            Err(error) => failed(error),
        }
    }

    async fn list_access_keys(&self, signer: &Credentials, user: &str) -> Outcome<KeyList> {
        let date = ServerDate::default();
        let client = self.iam(signer, &date, "rotakey");
        let all = pages!(client.list_access_keys().user_name(user), access_key_metadata);
        // A key that cannot be read must not look like a key that is gone.
        match all.iter().map(listed).collect() {
            Some(keys) => {
                Outcome::Done(KeyList { keys, server_time: date.get().unwrap_or_else(self.now) })
            }
            None => unknown("ListAccessKeys answered a key that cannot be read"),
        }
    }

    async fn create_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        rotation: &str,
    ) -> Outcome<NewKey> {
        let client = self.iam(signer, &ServerDate::default(), &format!("rotakey-{rotation}"));
        let answer = match client.create_access_key().user_name(user).send().await {
            Ok(answer) => answer,
            Err(error) => return failed(error),
        };
        let key = answer.access_key();
        let made = key.and_then(|key| {
            let secret = SecretAccessKey::new(key.secret_access_key().to_owned());
            (!secret.expose().is_empty()).then_some(())?;
            let access_key_id = key.access_key_id().parse().ok()?;
            let created = timestamp(key.create_date()?)?;
            let credentials = Credentials::long_term(access_key_id, secret);
            Some(NewKey { credentials, created })
        });
        made.map_or_else(|| unknown("CreateAccessKey answered no whole key"), Outcome::Done)
    }

    async fn update_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        id: &AccessKeyId,
        status: KeyStatus,
    ) -> Outcome<()> {
        let status = match status {
            KeyStatus::Active => StatusType::Active,
            KeyStatus::Inactive => StatusType::Inactive,
        };
        let request = self.plain(signer).update_access_key().user_name(user);
        done(request.access_key_id(id.as_str()).status(status).send().await)
    }

    async fn delete_access_key(
        &self,
        signer: &Credentials,
        user: &str,
        id: &AccessKeyId,
    ) -> Outcome<()> {
        let request = self.plain(signer).delete_access_key().user_name(user);
        done(request.access_key_id(id.as_str()).send().await)
    }

    async fn access_key_last_used(
        &self,
        signer: &Credentials,
        id: &AccessKeyId,
    ) -> Outcome<Option<LastUsed>> {
        let request = self.plain(signer).get_access_key_last_used().access_key_id(id.as_str());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return failed(error),
        };
        // "Never used" takes an answer that says so; an answer without the element says nothing.
        let Some(used) = answer.access_key_last_used() else {
            return unknown("GetAccessKeyLastUsed answered nothing");
        };
        let Some(date) = used.last_used_date() else { return Outcome::Done(None) };
        let Some(at) = timestamp(date) else { return unknown("a LastUsedDate out of range") };
        let (service, region) = (used.service_name().to_owned(), used.region().to_owned());
        Outcome::Done(Some(LastUsed { at, service, region }))
    }

    async fn denied_actions(
        &self,
        signer: &Credentials,
        user_arn: &str,
        actions: &[&str],
    ) -> Outcome<Vec<String>> {
        let client = self.plain(signer);
        let names: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
        // The simulation does not know how its own call was signed. A session that may call IAM was made with MFA.
        let mfa = aws_sdk_iam::types::ContextEntry::builder()
            .context_key_name("aws:MultiFactorAuthPresent")
            .context_key_type(aws_sdk_iam::types::ContextKeyTypeEnum::Boolean)
            .context_key_values("true")
            .build();
        let context = signer.session_token.is_some().then(|| vec![mfa]);
        let all = pages!(
            client
                .simulate_principal_policy()
                .policy_source_arn(user_arn)
                .resource_arns(user_arn)
                .set_context_entries(context.clone())
                .set_action_names(Some(names.clone())),
            evaluation_results
        );
        let denied = |result: &&aws_sdk_iam::types::EvaluationResult| {
            *result.eval_decision() != PolicyEvaluationDecisionType::Allowed
        };
        let names = all.iter().filter(denied).map(|result| result.eval_action_name().to_owned());
        Outcome::Done(names.collect())
    }

    async fn user_tags(&self, signer: &Credentials, user: &str) -> Outcome<Vec<(String, String)>> {
        let client = self.plain(signer);
        let all = pages!(client.list_user_tags().user_name(user), tags);
        let pair = |tag: &Tag| (tag.key().to_owned(), tag.value().to_owned());
        Outcome::Done(all.iter().map(pair).collect())
    }

    async fn tag_user(
        &self,
        signer: &Credentials,
        user: &str,
        key: &str,
        value: &str,
    ) -> Outcome<()> {
        match Tag::builder().key(key).value(value).build() {
            Ok(tag) => done(self.plain(signer).tag_user().user_name(user).tags(tag).send().await),
            Err(error) => Outcome::Unknown(Doubt { sent: false, reason: error.to_string() }),
        }
    }

    async fn untag_user(&self, signer: &Credentials, user: &str, key: &str) -> Outcome<()> {
        done(self.plain(signer).untag_user().user_name(user).tag_keys(key).send().await)
    }

    async fn attached_policies(&self, signer: &Credentials, user: &str) -> Outcome<Vec<String>> {
        let client = self.plain(signer);
        let all = pages!(client.list_attached_user_policies().user_name(user), attached_policies);
        let names = all.iter().filter_map(|policy| policy.policy_name());
        Outcome::Done(names.map(str::to_owned).collect())
    }

    async fn put_user_policy(
        &self,
        signer: &Credentials,
        user: &str,
        name: &str,
        document: &str,
    ) -> Outcome<()> {
        let request = self.plain(signer).put_user_policy().user_name(user).policy_name(name);
        done(request.policy_document(document).send().await)
    }

    async fn list_users(&self, signer: &Credentials) -> Outcome<Vec<String>> {
        // Ten pages for a thousand users: one that is throttled must not cost the others.
        let client = self.plain(signer);
        let (mut names, mut marker) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let request = || client.list_users().set_marker(marker.clone());
            let page = patiently(async || match request().send().await {
                Ok(page) => Outcome::Done(page),
                Err(error) => failed(error),
            });
            let page = match page.await {
                Outcome::Done(page) => page,
                Outcome::Refused(refusal) => return Outcome::Refused(refusal),
                Outcome::Unknown(doubt) => return Outcome::Unknown(doubt),
            };
            names.extend(page.users().iter().map(|user| user.user_name().to_owned()));
            marker = page.marker().map(str::to_owned);
            match (page.is_truncated(), &marker) {
                (false, _) => return Outcome::Done(names),
                (true, None) => return unknown("a list was cut without saying where it goes on"),
                (true, Some(_)) => {}
            }
        }
        unknown("a list without end")
    }

    async fn get_session_token(
        &self,
        signer: &Credentials,
        region: &str,
        duration: Duration,
        mfa: Option<&Mfa>,
    ) -> Outcome<Temporary> {
        let request = self.sts(signer, region).get_session_token();
        let request = request
            .duration_seconds(whole_seconds(duration))
            .set_serial_number(mfa.map(|mfa| mfa.serial.clone()))
            .set_token_code(mfa.map(|mfa| mfa.code.expose().to_owned()));
        match request.send().await {
            Ok(answer) => temporary("GetSessionToken", answer.credentials),
            Err(error) => failed(error),
        }
    }

    async fn assume_role(
        &self,
        signer: &Credentials,
        region: &str,
        role: &AssumeRole,
    ) -> Outcome<Temporary> {
        let request = self.sts(signer, region).assume_role();
        let request = request
            .role_arn(&role.role_arn)
            .role_session_name(&role.session_name)
            .set_external_id(role.external_id.clone())
            .duration_seconds(whole_seconds(role.duration))
            .set_serial_number(role.mfa.as_ref().map(|mfa| mfa.serial.clone()))
            .set_token_code(role.mfa.as_ref().map(|mfa| mfa.code.expose().to_owned()));
        match request.send().await {
            Ok(answer) => temporary("AssumeRole", answer.credentials),
            Err(error) => failed(error),
        }
    }
}
