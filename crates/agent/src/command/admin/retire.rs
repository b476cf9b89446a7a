//! The old key: set Inactive once the new one is used and it is not, and deleted after a soak.

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, KeyStatus};
use rotakey_core::iam::{Outcome, RefusalClass};
use rotakey_core::time::later;

use super::record::{Memory, Stage};
use super::{Desk, Then};
use crate::clock::Clock;
use crate::config::duration;
use crate::failure::expect;
use crate::failure::{Exit, Failed};
use crate::iam::KeyService;
use crate::incident::advice;
use crate::wording::rfc3339;

/// How the new key went out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handed {
    /// When it was made.
    pub(super) since: Timestamp,
    /// Our own probes of it ended then.
    pub(super) probed_until: Timestamp,
    /// Standard output took it whole.
    pub(super) printed: bool,
}

impl Desk<'_> {
    /// Whether the old key may go by now.
    pub(super) async fn retire(
        &self,
        memory: &mut Memory,
        old: AccessKeyId,
        new: AccessKeyId,
        handed: Handed,
    ) -> Result<Then, Failed> {
        let now = self.app.clock.now().wall;
        let list = self.list().await?;
        match list.find(&new).map(|key| key.status) {
            Some(KeyStatus::Active) => {}
            Some(KeyStatus::Inactive) => {
                let message = format!("the new key {new} was deactivated by somebody else");
                return Err(Failed::new(Exit::Decide, message)
                    .hint("make it active again, or delete it to begin anew"));
            }
            None => {
                memory.write(None)?;
                let message = format!("the new key {new} was deleted by somebody else");
                return Err(Failed::new(Exit::Failed, message)
                    .hint(format!("`{}` makes another one; {old} is as it was", self.again())));
            }
        }
        match list.find(&old).map(|key| key.status) {
            None => return self.finished(memory, &old, &new),
            Some(KeyStatus::Inactive) => {
                memory.write(Some(Stage::Deactivated { old, new, at: now }))?;
                return Ok(Then::GoOn);
            }
            Some(KeyStatus::Active) => {}
        }
        // Else the old one may be the only key that anybody has: no word replaces a use then.
        if !handed.printed && !self.is_seen(&new, &handed).await? {
            return Err(self.in_doubt(&old, &new));
        }
        if !self.args.yes
            && let Some(why) = self.held(&old, &new, &handed, now).await?
        {
            let message = format!("{}: {old} is still active: {why}", self.user);
            return Err(Failed::new(Exit::Decide, message).hint(format!(
                "`{}` goes on when that has changed; `--yes` sets {old} Inactive at once",
                self.again()
            )));
        }
        self.audit("admin-deactivate", &old)?;
        let done = self
            .service
            .update_access_key(&self.signer, &self.user, &old, KeyStatus::Inactive)
            .await;
        expect("iam:UpdateAccessKey", done)?;
        let at = self.app.clock.now().wall;
        memory.write(Some(Stage::Deactivated { old: old.clone(), new, at }))?;
        let until = later(at, self.settings.policy.soak);
        self.app.printer.say(&format!(
            "{old} of {} is Inactive; `{}` after {} deletes it. Until then this brings it back: aws iam update-access-key --user-name {} --access-key-id {old} --status Active",
            self.user,
            self.again(),
            rfc3339(until),
            self.user
        ));
        Ok(Then::Done)
    }

    async fn is_seen(&self, new: &AccessKeyId, handed: &Handed) -> Result<bool, Failed> {
        Ok(self.last_used(new).await?.is_some_and(|used| used.at > handed.probed_until))
    }

    /// A run was ended while it printed.
    fn in_doubt(&self, old: &AccessKeyId, new: &AccessKeyId) -> Failed {
        let message = format!(
            "{}: a run was ended while it printed the new key {new}: whether anybody has its secret is not known, and no use of it is seen; {old} stays active, also with --yes",
            self.user
        );
        Failed::new(Exit::Decide, message).hint(format!(
            "if you have it, use it (IAM shows that after minutes to hours), then `{0}`; if not, `{1}`, and `{0}` makes another",
            self.again(),
            advice::delete(&self.user, new)
        ))
    }

    /// Why the old key may not go yet.
    async fn held(
        &self,
        old: &AccessKeyId,
        new: &AccessKeyId,
        handed: &Handed,
        now: Timestamp,
    ) -> Result<Option<String>, Failed> {
        let since = handed.since;
        if !self.is_seen(new, handed).await? {
            return Ok(Some(format!(
                "no use of the new key {new} is seen yet (IAM shows it after minutes to hours)"
            )));
        }
        let used = self.last_used(old).await?;
        let observe = self.settings.policy.observe;
        // What IAM shows is late: that long after the new key was made, too.
        let last = used.as_ref().map_or(since, |used| used.at.max(since));
        if now >= later(last, observe) {
            return Ok(None);
        }
        Ok(Some(match used.filter(|used| used.at >= since) {
            Some(used) => format!(
                "it was used at {} ({}), and must not be for {}",
                rfc3339(used.at),
                used.service,
                duration::format(observe)
            ),
            None => format!("uses of it may show until {}", rfc3339(later(last, observe))),
        }))
    }

    /// The soak, and the end of it.
    pub(super) async fn delete(
        &self,
        memory: &mut Memory,
        old: AccessKeyId,
        new: AccessKeyId,
        at: Timestamp,
    ) -> Result<Then, Failed> {
        let list = self.list().await?;
        match list.find(&old).map(|key| key.status) {
            None => return self.finished(memory, &old, &new),
            Some(KeyStatus::Active) => {
                memory.write(None)?;
                let message = format!("somebody made {old} active again: it is left alone");
                return Err(Failed::new(Exit::Decide, message).hint(format!(
                    "{} has two keys now; delete the one that nobody needs",
                    self.user
                )));
            }
            Some(KeyStatus::Inactive) => {}
        }
        if list.find(&new).is_none_or(|key| key.status != KeyStatus::Active) {
            let message = format!("the new key {new} is not active: {old} is kept");
            return Err(Failed::new(Exit::Decide, message).hint("look with `rotakey keys`"));
        }
        let until = later(at, self.settings.policy.soak);
        if self.app.clock.now().wall < until {
            let message = format!("{old} of {} is soaking, Inactive", self.user);
            return Err(Failed::new(Exit::Decide, message).hint(format!(
                "`{}` after {} deletes it",
                self.again(),
                rfc3339(until)
            )));
        }
        self.audit("admin-delete", &old)?;
        match self.service.delete_access_key(&self.signer, &self.user, &old).await {
            Outcome::Refused(refusal) if refusal.class == RefusalClass::NoSuchEntity => {}
            done => expect("iam:DeleteAccessKey", done)?,
        }
        self.finished(memory, &old, &new)
    }

    fn finished(
        &self,
        memory: &mut Memory,
        old: &AccessKeyId,
        new: &AccessKeyId,
    ) -> Result<Then, Failed> {
        memory.write(None)?;
        self.app.printer.say(&format!("{}: done; {old} is deleted, {new} is its key", self.user));
        Ok(Then::Done)
    }
}
