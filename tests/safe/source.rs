//! How answers are made: the horizon first, then the answer, and what may come in between.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use rotakey_core::time::{earlier, later};

use crate::model_clients::Answer;
use crate::rule::Part;
use crate::world::World;

/// An answer that takes longer than this on its way is not waited for: the longest any of the SDKs waits
/// for an endpoint, and far longer than `credential-process` may take.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(30);

impl World {
    /// When the last answer was given, by the wall clock, that no horizon covers and no program may
    /// outlive, since the ledger could not be written.
    pub fn unrecorded_since(&self) -> Option<Timestamp> {
        let recorded = self.horizon().and_then(|horizon| horizon.served_until);
        let unrecorded = self.unrecorded.filter(|until| recorded.is_none_or(|h| *until > h))?;
        Some(earlier(unrecorded, self.policy.lease))
    }

    /// The source answers, or fails.
    pub fn answer(&mut self) -> Option<Answer> {
        if self.outage {
            return None;
        }
        if let Some((answer, _)) = self.arriving() {
            self.on_its_way = None;
            return Some(answer);
        }
        if self.crash == Some(false) {
            self.crash = None;
            self.restart();
            return None;
        }
        let answer = self.make();
        if self.crash.take().is_some() {
            self.restart();
            return None;
        }
        Some(answer)
    }

    /// What the source would answer, with no trace left.
    pub fn would_answer(&self) -> Option<Answer> {
        if self.outage {
            return None;
        }
        let on_its_way = self.arriving().map(|(answer, _)| answer);
        on_its_way.or_else(|| self.clone().make().into())
    }

    /// Makes an answer, which arrives when a client next asks.
    pub fn answer_later(&mut self) {
        if !self.outage {
            self.on_its_way = Some((self.make(), self.since_boot));
        }
    }

    /// Nobody waits for it any more.
    pub fn lose_answer(&mut self) {
        self.on_its_way = None;
    }

    pub fn answer_on_its_way_has_expired(&self) -> bool {
        self.arriving().is_some_and(|(answer, _)| answer.expiration <= self.wall)
    }

    fn arriving(&self) -> Option<(Answer, Duration)> {
        self.on_its_way.clone().filter(|(_, made)| self.since_boot - *made <= ON_ITS_WAY_MAX)
    }

    /// As `credential-process` does: the horizon first; if it cannot be written, serving goes on.
    fn make(&mut self) -> Answer {
        let (now, lease, generation) = (self.now(), self.policy.lease, self.ledger.generation);
        let expiration = later(now.wall, lease);
        let covered = self.ledger.covers(generation, expiration).expect("the served generation");
        if !covered && self.without != Some(Part::WrittenAhead) {
            if self.disk_full {
                self.unrecorded = self.unrecorded.max(Some(expiration));
            } else {
                let ahead = (lease / 6).min(Duration::from_secs(600));
                self.ledger.extend(generation, &now, lease, ahead).expect("the served generation");
            }
        }
        let mut whole = expiration.round(Unit::Second).expect("a time in range");
        if whole > expiration {
            whole = earlier(whole, Duration::from_secs(1));
        }
        Answer { access_key_id: self.ledger.access_key_id.clone(), expiration: whole }
    }
}
