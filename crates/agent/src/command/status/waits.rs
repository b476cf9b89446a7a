//! What a rotation waits for, and until when, in words.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::journal::{Open, Step};
use rotakey_core::lease::{Horizon, Safety, Serving, safety};
use rotakey_core::policy::Policy;
use rotakey_core::time::{Now, later};

use super::style::near;
use crate::config::duration;

/// A wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// What for.
    pub(super) what: String,
    /// Until when, if that can be told.
    pub(super) until: Option<Timestamp>,
    /// What is over then.
    pub(super) when: Option<String>,
    /// When the step can be over at the earliest, if another wait of it follows.
    pub(super) over: Option<Timestamp>,
}

impl Wait {
    fn new(what: &str) -> Self {
        Self { what: what.to_owned(), until: None, when: None, over: None }
    }

    fn until(what: &str, until: Timestamp, when: String) -> Self {
        Self { what: what.to_owned(), until: Some(until), when: Some(when), over: None }
    }
}

/// What there is to be known for it.
pub(super) struct Known<'a> {
    pub(super) policy: &'a Policy,
    pub(super) horizon: Option<&'a Horizon>,
    /// Since when the agent serves without a gap, if one runs.
    pub(super) healthy_since: Option<Timestamp>,
    /// When the proxy last signed with the old key, if it did.
    pub(super) fell_over: Option<Timestamp>,
    pub(super) now: &'a Now,
}

/// What a rotation waits for at its step.
pub(super) fn wait(open: &Open, known: &Known<'_>) -> Wait {
    if open.stuck.is_some() {
        return Wait::new("a person to decide");
    }
    if let Some(orphan) = &open.orphan {
        let what = "an orphan to be deleted";
        let until = orphan.deactivated.map(|at| later(at, known.policy.orphan_wait));
        return match until {
            Some(until) => {
                Wait::until(what, until, format!("{} is deleted if nobody missed it", orphan.id))
            }
            None => Wait::new(what),
        };
    }
    match open.step {
        Step::Drain if open.is_cut_off() => Wait::new("the old key, which leaked, to be refused"),
        Step::Create => Wait::new("the new key"),
        Step::Verify => Wait::new("the key to be accepted everywhere"),
        Step::Publish => Wait::new("the sources to serve the new key"),
        Step::Drain => drain(open, known),
        Step::Deactivate => Wait::new("the old key to be refused"),
        Step::Soak => soak(open, known),
        Step::Delete => Wait::new("the old key to be gone"),
    }
}

fn soak(open: &Open, known: &Known<'_>) -> Wait {
    let what = "somebody to miss the deactivated key";
    match open.deactivated {
        Some(at) => {
            let until = later(at, known.policy.soak);
            let id = &open.outgoing.id;
            // Nobody is to bring back what leaked; how that is done all the same, a warning says.
            let when = match open.is_cut_off() {
                true => format!("{id} is deleted"),
                false => format!("{id} is deleted; before that, `undo` brings it back"),
            };
            Wait::until(what, until, when)
        }
        None => Wait::new(what),
    }
}

/// The rule of leases, and what moves it, as the drain applies it.
fn drain(open: &Open, known: &Known<'_>) -> Wait {
    let Known { policy, horizon, now, .. } = *known;
    let what = "the leases on the old key to end";
    let published = open.published.unwrap_or(now.wall);
    let healthy = known.healthy_since.map_or(published, |since| since.max(published));
    let fell_over = known.fell_over;
    let serving = Serving { healthy_since: healthy, fell_over };
    let served = horizon.and_then(|horizon| horizon.served_until);
    let signed = served.into_iter().chain(fell_over).max();
    let explained =
        signed.map_or(published, |at| later(at, policy.signature_window).max(published));
    let observed = later(explained, policy.observe);
    let observed = open.outgoing.has_unknown_holders().then_some(observed);
    let followed = |wait: Wait| match observed.filter(|observed| Some(*observed) > wait.until) {
        None => wait,
        Some(observed) => {
            let then = format!(
                "; then programs that rotakey does not know of have until {} to show themselves",
                near(observed, now.wall)
            );
            let when = wait.when.map(|when| format!("{when}{then}"));
            Wait { when, over: Some(observed), ..wait }
        }
    };
    if let Safety::NotBefore(until) = safety(horizon, serving, policy, now) {
        if safety(horizon, healthy, policy, now) != Safety::NotBefore(until)
            && let Some(used) = fell_over
        {
            let when = format!(
                "what the proxy signed with it is worth nothing any more, last at {}",
                near(used, now.wall)
            );
            let what = "the proxy's last use of the old key to be over";
            return followed(Wait::until(what, until, when));
        }
        let when = ended(horizon, healthy, published, policy, now.wall);
        return followed(Wait::until(what, until, when));
    }
    if let Some(observed) = observed.filter(|observed| now.wall < *observed) {
        let when = format!(
            "programs that rotakey does not know of have had {} to show themselves",
            duration::format(policy.observe)
        );
        return Wait::until("unknown holders of the old key to show themselves", observed, when);
    }
    Wait::new("AWS to say that nobody uses the old key")
}

/// What is over at SAFE: the last lease, or what clients need after an outage, whichever takes longer.
fn ended(
    horizon: Option<&Horizon>,
    healthy: Timestamp,
    published: Timestamp,
    policy: &Policy,
    now: Timestamp,
) -> String {
    let promised =
        horizon.into_iter().flat_map(|h| [h.served_until, h.unrecorded_until]).flatten().max();
    let recovered = later(healthy, policy.client_backoff);
    let signed = if policy.signature_window > Duration::ZERO {
        " and what was signed with it is worth nothing"
    } else {
        ""
    };
    let gap = if healthy > published {
        format!(
            "clients have recovered from the gap in serving that ended at {}",
            near(healthy, now)
        )
    } else {
        format!(
            "the slowest client has come back since the new key was published at {}",
            near(published, now)
        )
    };
    match promised {
        Some(lease) if lease >= recovered && healthy > published => {
            format!("the last lease ({}) has ended{signed}, and {gap}", near(lease, now))
        }
        Some(lease) if lease >= recovered => {
            format!("the last lease ({}) has ended{signed}", near(lease, now))
        }
        Some(lease) if lease > now => {
            format!("the last lease ({}) has ended, and {gap}", near(lease, now))
        }
        _ => gap,
    }
}

#[cfg(test)]
mod tests;
