//! Sessions that programs got through the proxy, in the audit trail: each with its role and its end, as long as that is not a
//! flood.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::time::later;
use rotakey_endpoint::proxy::keys::Virtualised;
use rotakey_endpoint::table::Caller;

use super::refusals::by_of;
use super::{Audit, By};
use crate::serving::holders::Holders;
use crate::wording::rfc3339;

/// So many are written one by one in an hour, and the others counted.
const LINES_MAX: u32 = 600;
const HOUR: Duration = Duration::from_secs(3600);

/// One session.
#[derive(Debug)]
pub(super) struct Made {
    profile: String,
    placeholder: AccessKeyId,
    caller: Caller,
    /// Ids, a role and an end; nothing that anybody could sign with.
    detail: String,
}

impl Made {
    /// Does not look who the program is: a request waits for this, and to find a socket's owner is to look at all processes.
    pub(super) fn of(session: &Virtualised<'_>) -> Self {
        let Virtualised { operation, role, real, local, until, .. } = *session;
        let of = role.map_or_else(String::new, |role| format!(" of {role}"));
        Self {
            profile: session.profile.to_owned(),
            placeholder: session.placeholder.clone(),
            caller: session.caller.clone(),
            detail: format!("{operation}{of}: {local} for {real}, until {}", rfc3339(until)),
        }
    }

    /// Writes its line, unless there are too many. The program may be gone by now; it was looked at while it waited.
    pub(super) fn write(
        &self,
        audit: &Audit,
        flood: &mut Flood,
        holders: &Holders,
        now: Timestamp,
    ) {
        let by = || by_of(&self.caller, holders.who(&self.caller).as_ref());
        for (by, detail) in self.lines(flood, now, by) {
            let (profile, placeholder) = (&self.profile, Some(&self.placeholder));
            let written = audit.record_of(&by, "proxy-session", profile, placeholder, &detail);
            if let Err(error) = written {
                tracing::warn!(%error, "a session is not in the audit trail");
            }
        }
    }

    fn lines(
        &self,
        flood: &mut Flood,
        now: Timestamp,
        by: impl FnOnce() -> By,
    ) -> Vec<(By, String)> {
        let (may, left_out) = flood.note(now);
        // None is left out while one may not be written.
        if !may {
            return Vec::new();
        }
        let by = by();
        let more = |count| format!("{count} more, of any profile, are not written one by one");
        let details = left_out.map(more).into_iter().chain([self.detail.clone()]);
        details.map(|detail| (by.clone(), detail)).collect()
    }
}

/// How many were written in this hour, and how many were not.
#[derive(Debug, Default)]
pub(super) struct Flood {
    until: Option<Timestamp>,
    written: u32,
    left_out: u64,
}

impl Flood {
    /// Whether one more may be written; and how many were left out before it, if that is to be said first.
    pub(super) fn note(&mut self, now: Timestamp) -> (bool, Option<u64>) {
        let is_over = self.until.is_none_or(|until| now >= until);
        let left_out = std::mem::take(&mut self.left_out);
        if is_over {
            *self = Self { until: Some(later(now, HOUR)), written: 1, left_out: 0 };
            return (true, (left_out > 0).then_some(left_out));
        }
        let may = self.written < LINES_MAX;
        self.written += u32::from(may);
        self.left_out = left_out + u64::from(!may);
        (may, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_sessions_is_counted_and_told_of_with_the_next_one() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).expect("in range");
        let mut flood = Flood::default();
        let written = (0..1000).filter(|_| flood.note(at(0)).0).count();
        assert_eq!(written, 600);
        assert_eq!(flood.note(at(3599)), (false, None));
        assert_eq!(flood.note(at(3600)), (true, Some(401)));
        assert_eq!(flood.note(at(3601)), (true, None));
    }

    /// To find a program costs a look at every process.
    #[test]
    fn nobody_is_looked_for_whose_session_is_not_written() {
        let id = || "AKIAROTAKEY".parse::<AccessKeyId>().expect("an id");
        let (placeholder, real, local) = (id(), id(), id());
        let until = Timestamp::UNIX_EPOCH;
        let caller = Caller::Socket { uid: 1, inode: 2 };
        let (profile, operation, role) = ("app", "AssumeRole", Some("r"));
        let session = Virtualised {
            profile,
            placeholder: &placeholder,
            operation,
            role,
            caller: &caller,
            real: &real,
            local: &local,
            until,
        };
        let (made, mut flood, mut looks) = (Made::of(&session), Flood::default(), 0);
        for _ in 0..1000 {
            made.lines(&mut flood, until, || {
                looks += 1;
                By { uid: 1, pid: None, exe: None, parent_exe: None }
            });
        }
        assert_eq!(looks, LINES_MAX);
        assert!(made.detail.starts_with("AssumeRole of r: AKIAROTAKEY for "), "{}", made.detail);
    }
}
