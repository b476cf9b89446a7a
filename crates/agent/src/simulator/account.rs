//! The simulated account: its users and keys, and who is let in with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use rotakey_core::credential::KeyStatus;

use super::answer::{KeyRow, UseRow, UserRow};
use super::behaviour::Behaviour;
use super::identity::Identity;
use super::mfa::Device;
use super::policies::Inline;

/// Whether an action is allowed, and if not, by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    /// No policy allows it.
    ImplicitDeny,
    /// A policy forbids it.
    ExplicitDeny,
    /// A policy forbids it to whoever signed without MFA.
    NoMfa,
    /// The quarantine policy forbids it.
    Quarantine,
}

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) row: UserRow,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) denied: BTreeSet<String>,
    pub(super) quarantined: bool,
    /// The whole of what it may do in IAM, if that was said: without it, whatever is not denied is allowed.
    pub(super) identity: Option<Identity>,
    pub(super) inline: BTreeMap<String, Inline>,
    pub(super) mfa: Option<Device>,
    /// Whether a policy of the user's denies IAM to whoever signed without MFA.
    pub(super) requires_mfa: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Active,
    Inactive,
    Deleted,
}

impl From<KeyStatus> for State {
    fn from(status: KeyStatus) -> Self {
        match status {
            KeyStatus::Active => Self::Active,
            KeyStatus::Inactive => Self::Inactive,
        }
    }
}

impl State {
    pub(super) fn status(self) -> Option<KeyStatus> {
        match self {
            Self::Active => Some(KeyStatus::Active),
            Self::Inactive => Some(KeyStatus::Inactive),
            Self::Deleted => None,
        }
    }
}

/// A key keeps its whole history, as each vantage sees another part of it. Deleted keys stay, since they linger.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) user: String,
    /// By the server's clock; the history is by the true one.
    pub(super) created: Timestamp,
    history: Vec<(Timestamp, State)>,
    uses: Vec<(Timestamp, UseRow)>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {:?} {:?}", self.id, self.user, self.created, self.history, self.uses)
    }
}

/// What a vantage makes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    Yes,
    No,
    /// Accepted by some of the vantage's hosts.
    Flapping,
}

impl Key {
    pub(super) fn new(
        id: String,
        secret: String,
        user: &str,
        now: Timestamp,
        created: Timestamp,
    ) -> Self {
        let history = vec![(now, State::Active)];
        Self { id, secret, user: user.to_owned(), created, history, uses: Vec::new() }
    }

    /// A key that has been in this state for so long that every vantage knows.
    pub(super) fn imported(
        id: String,
        secret: String,
        user: &str,
        created: Timestamp,
        state: State,
    ) -> Self {
        let history = vec![(Timestamp::MIN, state)];
        Self { id, secret, user: user.to_owned(), created, history, uses: Vec::new() }
    }

    /// The true state.
    pub(super) fn state(&self) -> State {
        self.history.last().map_or(State::Deleted, |(_, state)| *state)
    }

    /// Setting the state that it has already changes nothing.
    pub(super) fn set(&mut self, now: Timestamp, state: State) {
        if self.state() != state {
            self.history.push((now, state));
        }
    }

    /// The line that a list made at `now` has of this key, if any.
    pub(super) fn listed(&self, now: Timestamp, lag: u64) -> Option<KeyRow> {
        let seen = self.history.iter().rev().find(|(at, _)| reached(now, *at, lag));
        let status = seen?.1.status()?;
        Some(self.row(status))
    }

    pub(super) fn row(&self, status: KeyStatus) -> KeyRow {
        let (user, id) = (self.user.clone(), self.id.clone());
        KeyRow { user, id, status, created: self.created }
    }

    /// Whether a vantage lets the key in: by the last change that has got there.
    pub(super) fn acceptance(
        &self,
        now: Timestamp,
        behaviour: &Behaviour,
        service: &str,
        region: &str,
    ) -> Acceptance {
        let seen = self.history.iter().rev().find(|(at, state)| {
            let delay = match state {
                State::Active => behaviour.visible_after(service, region),
                State::Inactive | State::Deleted => behaviour.lingers,
            };
            reached(now, *at, delay)
        });
        match seen {
            Some((at, State::Active))
                if !reached(now, *at, behaviour.flaps_until(service, region)) =>
            {
                Acceptance::Flapping
            }
            Some((_, State::Active)) => Acceptance::Yes,
            _ => Acceptance::No,
        }
    }

    /// Records a use, unless one was recorded shortly before.
    pub(super) fn used(&mut self, now: Timestamp, behaviour: &Behaviour, row: UseRow) {
        let recent = self
            .uses
            .last()
            .is_some_and(|(at, _)| !reached(now, *at, behaviour.last_used_granularity));
        if !recent {
            self.uses.push((now, row));
        }
    }

    /// The last use that shows.
    pub(super) fn last_used(&self, now: Timestamp, behaviour: &Behaviour) -> Option<&UseRow> {
        let lag = behaviour.last_used_lag;
        self.uses.iter().rev().find(|(at, _)| reached(now, *at, lag)).map(|(_, row)| row)
    }
}

fn reached(now: Timestamp, at: Timestamp, after: u64) -> bool {
    let passed = now.duration_since(at);
    passed >= SignedDuration::from_millis(i64::try_from(after).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    fn key() -> Key {
        Key::new("AKIAX".into(), "s".into(), "app", at(0), at(0))
    }

    #[test]
    fn a_vantage_goes_by_the_last_change_that_has_got_there() {
        let behaviour = Behaviour { visible_after: 100, lingers: 300, ..Behaviour::default() };
        let mut key = key();
        let seen = |key: &Key, ms| key.acceptance(at(ms), &behaviour, "sts", "us-east-1");
        assert_eq!(seen(&key, 99), Acceptance::No);
        assert_eq!(seen(&key, 100), Acceptance::Yes);
        key.set(at(1000), State::Inactive);
        assert_eq!(seen(&key, 1299), Acceptance::Yes);
        assert_eq!(seen(&key, 1300), Acceptance::No);
        key.set(at(2000), State::Active);
        assert_eq!(seen(&key, 2099), Acceptance::No);
        assert_eq!(seen(&key, 2100), Acceptance::Yes);
        // Deactivated and re-activated within the time it lingers: never noticed.
        key.set(at(3000), State::Inactive);
        key.set(at(3050), State::Active);
        assert_eq!(seen(&key, 3120), Acceptance::Yes);
    }

    #[test]
    fn a_lagging_list_shows_the_state_before() {
        let mut key = key();
        let listed = |key: &Key, ms| key.listed(at(ms), 50).map(|row| row.status);
        assert_eq!(listed(&key, 49), None);
        assert_eq!(listed(&key, 50), Some(KeyStatus::Active));
        key.set(at(100), State::Inactive);
        assert_eq!(listed(&key, 149), Some(KeyStatus::Active));
        assert_eq!(listed(&key, 150), Some(KeyStatus::Inactive));
        key.set(at(200), State::Deleted);
        assert_eq!(listed(&key, 249), Some(KeyStatus::Inactive));
        assert_eq!(listed(&key, 250), None);
    }
}
