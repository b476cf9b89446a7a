//! The old key: set Inactive once the new one is used and it is not, and deleted after a soak.

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, KeyStatus};
use rotakey_core::iam::{Outcome, RefusalClass};
use rotakey_core::time::later;

use super::record::{Memory, Stage};
use super::{Desk, Then};
use crate::cli::failure::{Exit, Failed};
use crate::clock::Clock;
use crate::command::expect;
use crate::command::status::seconds;
use crate::config::duration;
use crate::iam::KeyService;

impl Desk<'_> {
    /// Whether the old key may go by now.
    pub(super) async fn retire(
        &self,
        memory: &mut Memory,
        old: AccessKeyId,
        new: AccessKeyId,
        since: Timestamp,
        probed_until: Timestamp,
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
        if !self.args.yes
            && let Some(why) = self.held(&old, &new, since, probed_until, now).await?
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
            seconds(until),
            self.user
        ));
        Ok(Then::Done)
    }

    /// Why the old key may not go yet.
    async fn held(
        &self,
        old: &AccessKeyId,
        new: &AccessKeyId,
        since: Timestamp,
        probed_until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<String>, Failed> {
        let is_seen = self.last_used(new).await?.is_some_and(|used| used.at > probed_until);
        if !is_seen {
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
                seconds(used.at),
                used.service,
                duration::format(observe)
            ),
            None => format!("uses of it may show until {}", seconds(later(last, observe))),
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
                seconds(until)
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
