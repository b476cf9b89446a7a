//! Sessions that programs got through the proxy, in the audit trail: each with its role and its end, as long as that is not a
//! flood.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::time::later;
use rotakey_endpoint::proxy::keys::Virtualised;

use super::By;
use super::refusals::{by_of, program_of};
use crate::command::status::seconds;

/// What is cut from what a program sent, in characters. AWS's names of roles are shorter.
const ROLE_MAX: usize = 256;

/// So many are written one by one in an hour, and the others counted.
const LINES_MAX: u32 = 600;
const HOUR: Duration = Duration::from_secs(3600);

/// One session.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) profile: String,
    pub(super) placeholder: AccessKeyId,
    pub(super) by: By,
    /// Ids, a role and an end; nothing that anybody could sign with.
    pub(super) detail: String,
}

impl Made {
    /// Looks for the program at once: it waits for the answer, and may be gone a moment after that.
    pub(super) fn of(session: &Virtualised<'_>) -> Self {
        let Virtualised { operation, role, real, local, until, .. } = *session;
        let plain = |role: &str| role.chars().filter(|c| !c.is_control()).take(ROLE_MAX).collect();
        let role: Option<String> = role.map(plain);
        let of = role.map_or_else(String::new, |role| format!(" of {role}"));
        Self {
            profile: session.profile.to_owned(),
            placeholder: session.placeholder.clone(),
            by: by_of(session.caller, program_of(session.caller).as_ref()),
            detail: format!("{operation}{of}: {local} for {real}, until {}", seconds(until)),
        }
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
}
