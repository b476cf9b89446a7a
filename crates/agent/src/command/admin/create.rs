//! The new key: made once, tried, and printed; or deleted again.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, KeyStatus};
use rotakey_core::iam::{KeyList, NewKey, Outcome, RefusalClass};
use rotakey_core::recovery::{Candidate, Verdict, Window, judge};
use rotakey_core::rotation::preflight::other_install;
use rotakey_core::time::later;
use zeroize::Zeroizing;

use super::record::{Memory, Stage};
use super::{Desk, Output, Then};
use crate::app::random_hex;
use crate::clock::Clock;
use crate::failure::expect;
use crate::failure::{Exit, Failed, refused};
use crate::iam::KeyService;
use crate::incident::advice;
use crate::wording::rfc3339;

/// IAM knows one use of a key in so long.
const LAST_USED_STEP: Duration = Duration::from_secs(15 * 60);

impl Desk<'_> {
    /// Nothing is under way: which key is to go, and is there room for another?
    pub(super) async fn begin(
        &self,
        memory: &mut Memory,
        named: Option<&AccessKeyId>,
    ) -> Result<Then, Failed> {
        let tags = self.service.user_tags(&self.signer, &self.user).await;
        if let Outcome::Done(tags) = &tags
            && let Some(other) = other_install(tags, &self.app.install_tag()?)
        {
            let message = format!("an installation of rotakey rotates {}: tag {other}", self.user);
            return Err(Failed::new(Exit::Decide, message).hint(format!(
                "rotate there; or, if that installation is gone: aws iam untag-user --user-name {} --tag-keys {other}",
                self.user
            )));
        }
        let list = self.list().await?;
        let old = self.choose(&list, named)?;
        let now = self.app.clock.now().wall;
        memory.write(Some(Stage::Intended {
            old: old.clone(),
            known: list.keys.iter().map(|key| key.access_key_id.clone()).collect(),
            sent: now,
            clock_offset_ms: list.server_time.as_millisecond() - now.as_millisecond(),
        }))?;
        let made = self.service.create_access_key(&self.signer, &self.user, &random_hex()?).await;
        match made {
            Outcome::Done(key) => self.made(memory, old, key).await,
            Outcome::Refused(refusal) => {
                memory.write(None)?;
                if refusal.class == RefusalClass::Quota {
                    return Err(self.no_room(&list, &old));
                }
                Err(refused("iam:CreateAccessKey", &refusal))
            }
            Outcome::Unknown(doubt) if !doubt.sent => {
                memory.write(None)?;
                expect("iam:CreateAccessKey", Outcome::Unknown(doubt))
            }
            Outcome::Unknown(doubt) => {
                self.app.printer.say(&format!(
                    "the reply to CreateAccessKey was lost ({doubt}): looking for the key"
                ));
                Ok(Then::GoOn)
            }
        }
    }

    fn choose(&self, list: &KeyList, named: Option<&AccessKeyId>) -> Result<AccessKeyId, Failed> {
        let user = &self.user;
        let active: Vec<_> =
            list.keys.iter().filter(|key| key.status == KeyStatus::Active).collect();
        match (named, &active[..]) {
            (Some(named), _) if active.iter().any(|key| key.access_key_id == *named) => {
                Ok(named.clone())
            }
            (Some(named), _) => {
                let message = format!("{named} is not an active key of {user}");
                Err(Failed::new(Exit::Usage, message)
                    .hint(format!("`rotakey keys --user {user}` lists them")))
            }
            (None, [only]) => Ok(only.access_key_id.clone()),
            (None, []) => {
                let message = format!("{user} has no active key");
                Err(Failed::new(Exit::Decide, message)
                    .hint(format!("`{}` makes one", advice::create(user))))
            }
            (None, several) => {
                let ids: Vec<_> = several.iter().map(|key| key.access_key_id.as_str()).collect();
                let message = format!("{user} has several active keys: {}", ids.join(", "));
                Err(Failed::new(Exit::Decide, message)
                    .hint("`--access-key-id` names the one that is to go"))
            }
        }
    }

    fn no_room(&self, list: &KeyList, old: &AccessKeyId) -> Failed {
        let others = list.keys.iter().map(|key| &key.access_key_id).filter(|id| *id != old);
        let choices: Vec<_> =
            others.map(|id| format!("`{}`", advice::delete(&self.user, id))).collect();
        let message = format!("{} has as many keys as IAM allows; nothing was changed", self.user);
        Failed::new(Exit::Decide, message)
            .hint(format!("if nobody needs the other one: {}", choices.join(" or ")))
    }

    /// A key is there, and this process has the only copy of its secret.
    async fn made(
        &self,
        memory: &mut Memory,
        old: AccessKeyId,
        key: NewKey,
    ) -> Result<Then, Failed> {
        let new = key.credentials.access_key_id.clone();
        let since = self.app.clock.now().wall;
        let made = Stage::Made { old: old.clone(), new: new.clone() };
        let ready = match memory.write(Some(made)) {
            Err(failed) => Err(failed),
            Ok(()) => match self.audit("admin-create", &new) {
                Err(failed) => Err(failed),
                Ok(()) => self.verify(&key.credentials).await,
            },
        };
        let probed_until = self.app.clock.now().wall;
        let handed = |printed| {
            let (old, new) = (old.clone(), new.clone());
            Some(Stage::Handed { old, new, since, probed_until, printed })
        };
        // Before it is printed: what is printed and taken for one that was not would be deleted.
        let ready = ready.and_then(|()| memory.write(handed(false)));
        let printed = ready.and_then(|()| {
            let text = shown(&key.credentials, self.args.output);
            self.app.printer.data_whole(&text).map_err(|error| {
                Failed::new(Exit::Failed, format!("the new key could not be printed: {error}"))
                    .hint("redirect standard output to where there is room, and run it again")
            })
        });
        let Err(mut failed) = printed else {
            self.app.printer.say(&format!(
                "{new} of {} is printed, once: it is kept nowhere here. Replace {old} by it",
                self.user
            ));
            memory.write(handed(true))?;
            return Ok(Then::GoOn);
        };
        // Nobody has its secret, or not all of it.
        match self.service.delete_access_key(&self.signer, &self.user, &new).await {
            Outcome::Done(()) => {
                memory.write(None)?;
                failed.message = format!("{}; {new} is deleted again", failed.message);
            }
            _ => {
                // At `Made`, the next run deletes it.
                if !matches!(memory.stage, Some(Stage::Made { .. })) {
                    let (id, probed_until) = (new.clone(), Some(probed_until));
                    let _ = memory.write(Some(Stage::Unheld { id, inactive: None, probed_until }));
                }
                let by_hand = advice::delete(&self.user, &new);
                failed.message =
                    format!("{}; {new} could not be deleted again: {by_hand}", failed.message);
            }
        }
        Err(failed)
    }

    /// A run was ended between the creation and the print: the secret is gone with it.
    pub(super) async fn unmake(
        &self,
        memory: &mut Memory,
        new: AccessKeyId,
    ) -> Result<Then, Failed> {
        self.audit("admin-delete", &new)?;
        match self.service.delete_access_key(&self.signer, &self.user, &new).await {
            Outcome::Refused(refusal) if refusal.class == RefusalClass::NoSuchEntity => {}
            done => expect("iam:DeleteAccessKey", done)?,
        }
        memory.write(None)?;
        self.app.printer.say(&format!(
            "{new}, which an earlier run made and did not come to print, is deleted again"
        ));
        Ok(Then::GoOn)
    }

    /// What is handed out must work: accepted so many times in a row.
    async fn verify(&self, key: &Credentials) -> Result<(), Failed> {
        let policy = &self.settings.policy;
        let deadline = later(self.app.clock.now().wall, policy.deadline);
        let mut successes = 0;
        loop {
            let seen = self.service.caller_identity(key, policy.home_region()).await;
            let why = match seen {
                Outcome::Done(_) => {
                    successes += 1;
                    if successes >= policy.successes {
                        return Ok(());
                    }
                    String::new()
                }
                Outcome::Refused(refusal) => refusal.to_string(),
                Outcome::Unknown(doubt) => doubt.to_string(),
            };
            if !why.is_empty() {
                successes = 0;
                if self.app.clock.now().wall >= deadline {
                    let message = format!("the new key is still refused: {why}");
                    return Err(Failed::new(Exit::Failed, message).hint("try again later"));
                }
            }
            let next = later(self.app.clock.now().wall, policy.spacing);
            self.app.clock.sleep_until(next).await;
        }
    }

    /// The reply was lost: which key did it make, if any?
    pub(super) async fn reconcile(
        &self,
        memory: &mut Memory,
        known: &[AccessKeyId],
        sent: Timestamp,
        clock_offset_ms: i64,
    ) -> Result<Then, Failed> {
        let policy = &self.settings.policy;
        let given_up = later(sent, policy.create_timeout);
        let certain = later(given_up, policy.lost_reply_wait);
        loop {
            let mut candidates = Vec::new();
            for key in self.list().await?.keys {
                if !known.contains(&key.access_key_id) {
                    let used = self.last_used(&key.access_key_id).await?.is_some();
                    candidates.push(Candidate { key, held: false, used });
                }
            }
            let now = self.app.clock.now().wall;
            if now < certain {
                self.app.printer.progress("a late key would show in the lists");
                self.app.clock.sleep_until(certain.min(later(now, policy.spacing))).await;
                continue;
            }
            self.app.printer.progress_done();
            return match judge(&candidates, Window::new(sent, given_up, clock_offset_ms)) {
                Verdict::Nothing => {
                    memory.write(None)?;
                    Ok(Then::GoOn)
                }
                Verdict::Adopt(key) | Verdict::Orphan(key) => {
                    let id = key.access_key_id;
                    memory.write(Some(Stage::Unheld { id, inactive: None, probed_until: None }))?;
                    Ok(Then::GoOn)
                }
                Verdict::Strangers(_) if self.args.yes => {
                    memory.write(None)?;
                    Ok(Then::GoOn)
                }
                Verdict::Strangers(ids) => {
                    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                    let message = format!(
                        "the reply to CreateAccessKey was lost, and whose these keys are cannot be told: {}",
                        ids.join(", ")
                    );
                    Err(Failed::new(Exit::Decide, message).hint(format!(
                        "delete what nobody needs; then `{}`, with --yes if somebody needs them",
                        self.again()
                    )))
                }
            };
        }
    }

    /// A key whose secret nobody has: set Inactive, left alone for a while, then deleted if nobody missed it.
    pub(super) async fn fence(
        &self,
        memory: &mut Memory,
        id: AccessKeyId,
        inactive: Option<Timestamp>,
        probed_until: Option<Timestamp>,
    ) -> Result<Then, Failed> {
        let now = self.app.clock.now().wall;
        let list = self.list().await?;
        let Some(key) = list.find(&id) else {
            memory.write(None)?;
            return Ok(Then::GoOn);
        };
        let ours = probed_until.map(|at| later(at, LAST_USED_STEP));
        let used = self.last_used(&id).await?;
        let is_used = used.is_some_and(|used| ours.is_none_or(|until| used.at > until));
        if is_used || (inactive.is_some() && key.status == KeyStatus::Active) {
            memory.write(None)?;
            let message =
                format!("{id}, whose secret nobody was thought to have, is used by somebody");
            return Err(Failed::new(Exit::Decide, message)
                .hint("it is left alone from now on; keep it or delete it"));
        }
        let Some(at) = inactive else {
            let done = self
                .service
                .update_access_key(&self.signer, &self.user, &id, KeyStatus::Inactive)
                .await;
            expect("iam:UpdateAccessKey", done)?;
            memory.write(Some(Stage::Unheld { id, inactive: Some(now), probed_until }))?;
            return Ok(Then::GoOn);
        };
        let until = later(at, self.settings.policy.orphan_wait);
        if now < until {
            let until = rfc3339(until);
            let why = match probed_until {
                None => "the reply to CreateAccessKey was lost",
                Some(_) => "it could not be printed",
            };
            let message = format!("{why}: nobody has the secret of {id}, which is Inactive");
            return Err(Failed::new(Exit::Decide, message)
                .hint(format!("`{}` after {until} deletes it and begins anew", self.again())));
        }
        let done = self.service.delete_access_key(&self.signer, &self.user, &id).await;
        expect("iam:DeleteAccessKey", done)?;
        memory.write(None)?;
        Ok(Then::GoOn)
    }
}

/// The key, for standard output.
fn shown(key: &Credentials, output: Output) -> Zeroizing<String> {
    let (id, secret) = (key.access_key_id.as_str(), key.secret_access_key.expose());
    Zeroizing::new(match output {
        Output::Process => {
            format!("{{\"Version\":1,\"AccessKeyId\":\"{id}\",\"SecretAccessKey\":\"{secret}\"}}\n")
        }
        Output::Env => format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n"),
        Output::Json => {
            format!("{{\"AWS_ACCESS_KEY_ID\":\"{id}\",\"AWS_SECRET_ACCESS_KEY\":\"{secret}\"}}\n")
        }
    })
}
