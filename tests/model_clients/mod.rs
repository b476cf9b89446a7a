//! How the SDKs behave that take credentials from a local source: one model a row.
//!
//! A model knows when its SDK fetches again, from when it no longer signs with what it holds, and what it does
//! when the source fails. Each file of rows names the versions that were read. Where an SDK refreshes in the
//! background, the model does so at the next signature, and signs with the old key that once: a program
//! that signs rarely meets its SDK in exactly that state.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test uses its own part")]

mod container;
mod imds;
mod kind;
mod process;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rotakey_core::credential::AccessKeyId;
use rotakey_core::time::{Now, later};

use kind::{Clock, Failing, Late, Refresh};
pub use kind::{KINDS, Kind, Source};

/// What a source answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub access_key_id: AccessKeyId,
    /// As served: whole seconds.
    pub expiration: Timestamp,
}

/// A program that signs with one of the SDKs.
#[derive(Clone, Debug)]
pub struct Client {
    pub kind: Kind,
    jitter: u64,
    /// Counts what was jittered, so that each time differs.
    draws: u64,
    held: Option<Held>,
    /// The source failed: until then it is not asked again.
    quiet_until: Option<Timestamp>,
}

/// A cached credential. Instants are readings of the clock that its kind goes by.
#[derive(Clone, Debug)]
struct Held {
    access_key_id: AccessKeyId,
    /// From here on it fetches, but goes on with the old key if it must.
    soft: Timestamp,
    /// From here on it does not sign before it has fetched.
    hard: Timestamp,
}

impl Client {
    /// A program that has not signed yet. `jitter`, any number, decides what its SDK leaves to chance.
    pub fn new(kind: Kind, jitter: u64) -> Self {
        Self { kind, jitter, draws: 0, held: None, quiet_until: None }
    }

    /// The same program, started anew.
    pub fn again(&self) -> Self {
        Self::new(self.kind, self.jitter.wrapping_add(1))
    }

    /// The key in its cache.
    pub fn holds(&self) -> Option<&AccessKeyId> {
        self.held.as_ref().map(|held| &held.access_key_id)
    }

    /// The key it signs with now, or `None` if its SDK raises an error. `fetch` is called if the SDK would
    /// ask its source, and answers `None` if the source fails.
    pub fn sign(
        &mut self,
        now: &Now,
        fetch: &mut dyn FnMut() -> Option<Answer>,
    ) -> Option<AccessKeyId> {
        let time = self.clock(now);
        let Some(held) = self.held.clone() else {
            let answer = fetch()?;
            return self.take(&answer, now, time).then_some(answer.access_key_id);
        };
        // The SDKs that back off look at this before they look at the expiration.
        if self.quiet_until.is_some_and(|until| time < until) || time < held.soft {
            return Some(held.access_key_id);
        }
        let due = time >= held.hard;
        let waits = due || self.waits();
        let taken = fetch().filter(|answer| self.take(answer, now, time));
        match taken {
            Some(answer) if waits => Some(answer.access_key_id),
            Some(_) => Some(held.access_key_id),
            None => self.failed(held, time, due, waits),
        }
    }

    /// What it signs with when the source fails, or answers what the SDK does not take.
    fn failed(
        &mut self,
        held: Held,
        time: Timestamp,
        due: bool,
        waits: bool,
    ) -> Option<AccessKeyId> {
        match if due { self.kind.due_fails } else { self.kind.early_fails } {
            Failing::Raises if waits => return None,
            Failing::Raises | Failing::Keeps => {}
            Failing::KeepsFor(least, most) => {
                let pause = self.draw(least, most);
                self.quiet_until = Some(later(time, pause));
            }
        }
        Some(held.access_key_id)
    }

    /// Whether this program waits for a fetch that is not yet due. Where one thread refreshes and the others
    /// go on, every second client is one of the others.
    fn waits(&self) -> bool {
        match self.kind.early {
            kind::Early::Waits => true,
            kind::Early::OneThreadWaits => self.jitter.is_multiple_of(2),
            kind::Early::InBackground => false,
        }
    }

    /// Caches an answer, unless the SDK refuses it because it has expired.
    fn take(&mut self, answer: &Answer, now: &Now, time: Timestamp) -> bool {
        let left = answer.expiration.duration_since(now.wall);
        let left = match self.kind.late {
            Late::Refuses if !left.is_positive() => return false,
            Late::Extends(least, most) if !left.is_positive() => signed(self.draw(least, most)),
            Late::Floor { window, least, most } => {
                let floor = signed(self.draw(window + least, window + most));
                if left < floor { floor } else { left }
            }
            Late::Refuses | Late::Extends(..) | Late::AsItIs => left,
        };
        let Kind { soft, hard, .. } = self.kind;
        let hard_after = self.refresh(hard, left);
        let soft_after = if soft == hard { hard_after } else { self.refresh(soft, left) };
        let at = |after: SignedDuration| time.saturating_add(after).expect("a time in range");
        self.held = Some(Held {
            access_key_id: answer.access_key_id.clone(),
            soft: at(soft_after.min(hard_after)),
            hard: at(hard_after),
        });
        self.quiet_until = None;
        true
    }

    /// How long after a fetch, if what was fetched lives for `left`.
    fn refresh(&mut self, refresh: Refresh, left: SignedDuration) -> SignedDuration {
        match refresh {
            Refresh::Before(least, most) => left - signed(self.draw(least, most)),
            Refresh::BeforeByLife => left - SignedDuration::from_mins(advisory_minutes(left)),
            Refresh::AtShare(percent) => left * percent / 100,
            Refresh::Every(seconds, most) => signed(self.draw(seconds, most)),
            Refresh::EveryOrBefore(every, before) => {
                signed(Duration::from_secs(every)).min(left - signed(Duration::from_secs(before)))
            }
        }
    }

    fn clock(&self, now: &Now) -> Timestamp {
        match self.kind.clock {
            Clock::Wall => now.wall,
            Clock::Monotonic => later(Timestamp::UNIX_EPOCH, now.monotonic.since_boot),
        }
    }

    /// Some seconds from `least` to `most`.
    fn draw(&mut self, least: u64, most: u64) -> Duration {
        self.draws += 1;
        // The finaliser of SplitMix64: neighbours come out far apart.
        let mut mixed = self.jitter.wrapping_add(self.draws.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_secs(least + (mixed ^ (mixed >> 31)) % (most - least + 1))
    }
}

/// The window of the SDKs' common "credential refresh behavior": by the life of what was fetched.
fn advisory_minutes(life: SignedDuration) -> i64 {
    match life.as_mins() {
        ..=20 => 5,
        21..90 => 15,
        90.. => 60,
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).expect("some minutes")
}
