//! What the SDKs differ in.

use super::{container, imds, process};

/// One row: a client and the source it reads.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub source: Source,
    /// It stops by itself, or raises, when its source fails; the others keep what they hold.
    pub bounded: bool,
    /// What it holds is kept outside the machine's memory.
    pub survives_reboot: bool,
    pub(super) clock: Clock,
    /// From when it fetches.
    pub(super) soft: Refresh,
    /// From when it no longer signs without having fetched.
    pub(super) hard: Refresh,
    /// Who waits for a fetch between the two.
    pub(super) early: Early,
    /// A fetch fails between the two.
    pub(super) early_fails: Failing,
    /// A fetch fails after both.
    pub(super) due_fails: Failing,
    /// An answer has expired when it comes.
    pub(super) late: Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Process,
    Container,
    Imds,
}

/// The clock that an SDK's cache goes by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    Wall,
    /// Stands still while the machine is suspended.
    Monotonic,
}

/// When a cached credential is to be fetched again. Numbers are seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// Before the expiration, by some number from the first to the second.
    Before(u64, u64),
    /// 5, 15 or 60 minutes before, by the life of the credential.
    BeforeByLife,
    /// When so many per cent of its life are over.
    AtShare(i32),
    /// So long after the last fetch, whatever the expiration.
    Every(u64, u64),
    /// So long after the last fetch, or so long before the expiration.
    EveryOrBefore(u64, u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Early {
    /// Whoever signs waits, and signs with the new key.
    Waits,
    /// One thread waits; the others sign with the old key.
    OneThreadWaits,
    /// Nobody waits: this signature is made with the old key.
    InBackground,
}

/// What a failed fetch leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failing {
    /// An error; the next request asks again.
    Raises,
    /// It signs with the old key; the next request asks again.
    Keeps,
    /// It signs with the old key, and does not ask for some seconds from the first to the second.
    KeepsFor(u64, u64),
}

/// What an answer counts for that has expired when it comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Late {
    /// It signs this one request.
    AsItIs,
    /// No more than no answer.
    Refuses,
    /// It is good for some seconds from the first to the second.
    Extends(u64, u64),
    /// botocore: what lives for less than `window` and a jitter is taken to live for that long.
    Floor { window: u64, least: u64, most: u64 },
}

pub(super) const MINUTE: u64 = 60;

impl Kind {
    /// One that stops at its expiration, by the wall clock, and raises when its source fails.
    pub(super) const fn new(name: &'static str, source: Source) -> Self {
        Self {
            name,
            source,
            bounded: true,
            survives_reboot: false,
            clock: Clock::Wall,
            soft: Refresh::Before(0, 0),
            hard: Refresh::Before(0, 0),
            early: Early::Waits,
            early_fails: Failing::Raises,
            due_fails: Failing::Raises,
            late: Late::AsItIs,
        }
    }

    /// It fetches, and stops, so many seconds before the expiration.
    pub(super) const fn stops_before(mut self, least: u64, most: u64) -> Self {
        self.soft = Refresh::Before(least, most);
        self.hard = Refresh::Before(least, most);
        self
    }

    /// It fetches from one such instant on, and stops at another.
    pub(super) const fn windows(mut self, soft: Refresh, hard: Refresh, early: Early) -> Self {
        self.soft = soft;
        self.hard = hard;
        self.early = early;
        self.early_fails = Failing::Keeps;
        self
    }

    /// It keeps what it holds while its source fails, without an end.
    pub(super) const fn unbounded(mut self, failing: Failing) -> Self {
        self.bounded = false;
        self.early_fails = failing;
        self.due_fails = failing;
        self
    }

    pub(super) const fn late(mut self, late: Late) -> Self {
        self.late = late;
        self
    }

    pub(super) const fn monotonic(mut self) -> Self {
        self.clock = Clock::Monotonic;
        self
    }

    /// The SDKs' common "credential refresh behavior": kept past its end, with a back-off.
    pub(super) const fn sep(name: &'static str, source: Source) -> Self {
        Self::new(name, source)
            .windows(Refresh::BeforeByLife, Refresh::Before(MINUTE, MINUTE), Early::OneThreadWaits)
            .unbounded(Failing::KeepsFor(5 * MINUTE, 10 * MINUTE))
            .late(Late::Refuses)
    }
}

const fn joined<const N: usize>() -> [Kind; N] {
    let mut all = [process::ROWS[0]; N];
    let (mut at, mut row) = (0, 0);
    while at < N {
        let (p, c) = (process::ROWS.len(), container::ROWS.len());
        all[at] = if row < p {
            process::ROWS[row]
        } else if row < p + c {
            container::ROWS[row - p]
        } else {
            imds::ROWS[row - p - c]
        };
        row += 1;
        at += 1;
    }
    all
}

/// Every row.
pub const KINDS: &[Kind] =
    &joined::<{ process::ROWS.len() + container::ROWS.len() + imds::ROWS.len() }>();
