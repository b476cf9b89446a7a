//! What quiet hours hold back, and what nothing holds back.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::journal::{Act, Open, Reason, Record, Status, Step};
use rotakey_core::time::later;

use super::{KEPT, Rules};
use crate::cis;

/// Quiet hours hold nothing back for longer: a machine may be awake in them alone.
const QUIET_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Until when a record may not be written, as what it announces is not done in quiet hours: a rotation begun, a key
/// made, deactivated or deleted. What is announced already is brought to its end. A key that no program was ever given is
/// no key that anybody misses: one that is given up is deleted, and an orphan set Inactive.
pub fn held_back(
    rules: &Rules,
    status: &Status,
    record: &Record,
    now: Timestamp,
) -> Option<Timestamp> {
    let open = status.rotation.as_ref();
    match record {
        Record::Begun { .. } => quiet_until(rules, status, now),
        Record::Intended { act }
            if matches!(act, Act::Create { .. } | Act::Deactivate { .. } | Act::Delete { .. }) =>
        {
            let open = open.filter(|open| open.intent.as_ref().map(|(act, _)| act) != Some(act))?;
            if is_urgent(open) || is_nobodys(open, act) {
                return None;
            }
            // It was begun a moment ago, when it was not quiet.
            let is_begun = matches!(act, Act::Create { .. }) && now < later(open.begun, KEPT);
            quiet_end(rules, ready(open, rules), now).filter(|_| !is_begun)
        }
        _ => None,
    }
}

/// Whether a key leaked: that asks for no hour.
pub(super) fn is_urgent(open: &Open) -> bool {
    open.reason == Reason::Compromised || open.compromised.is_some()
}

/// Whether it takes away a key that was never served.
fn is_nobodys(open: &Open, act: &Act) -> bool {
    match act {
        Act::Delete { .. } => open.aborting.is_some() && open.published.is_none(),
        Act::Deactivate { access_key_id } => {
            open.orphan.as_ref().is_some_and(|orphan| orphan.id == *access_key_id)
        }
        _ => false,
    }
}

/// Until when no rotation begins. At the age that CIS allows the hours are quiet no longer.
pub(super) fn quiet_until(rules: &Rules, status: &Status, now: Timestamp) -> Option<Timestamp> {
    let created = status.current.as_ref().and_then(|key| key.created);
    let overdue = created.map_or(Timestamp::MAX, |created| later(created, cis::AGE));
    rules.quiet.until(now, &rules.zone).map(|end| end.min(overdue)).filter(|end| now < *end)
}

/// Until when what was ready at `ready` is held back.
pub(super) fn quiet_end(rules: &Rules, ready: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let most = later(ready, QUIET_MAX);
    rules.quiet.until(now, &rules.zone).map(|end| end.min(most)).filter(|end| now < *end)
}

/// Since when it could be done, about. Of an old key that is to be deactivated that is since the new one is served, so
/// that each step on the way has not seven days of its own.
pub(super) fn ready(open: &Open, rules: &Rules) -> Timestamp {
    match (open.deactivated, open.published) {
        (Some(at), _) if open.step >= Step::Soak => later(at, rules.soak),
        (_, Some(at)) => at,
        _ => open.begun,
    }
}
