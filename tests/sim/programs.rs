//! The programs that are served: each behaves as one SDK does with one source.

use fastrand::Rng;
use jiff::Timestamp;
use rotakey_core::time::later;

use crate::life::Life;
use crate::model_clients::{Answer, Client, KINDS, Source};
use crate::system::seconds;

/// The programs of one machine.
pub struct Programs {
    programs: Vec<Program>,
}

struct Program {
    client: Client,
    /// Until when it may use what it holds.
    until: Timestamp,
    /// When it signs next, by the true time.
    due: Timestamp,
    /// It signs about so often, seconds.
    every: u64,
}

impl Programs {
    pub fn new(rng: &mut Rng, now: Timestamp) -> Self {
        let program = |_| {
            let kind = KINDS[rng.usize(..KINDS.len())];
            let client = Client::new(kind, rng.u64(..));
            // From a busy program to one that wakes once a day.
            let every = [3600, 6 * 3600, 43_200, 86_400][rng.usize(..4)];
            Program { client, until: now, due: later(now, seconds(rng.u64(..every))), every }
        };
        Self { programs: (0..4).map(program).collect() }
    }

    pub fn due(&self) -> Timestamp {
        self.programs.iter().map(|program| program.due).min().unwrap_or(Timestamp::MAX)
    }

    /// The machine was booted: whoever runs now has an empty cache.
    pub fn boot(&mut self) {
        for program in &mut self.programs {
            if !program.client.kind.survives_reboot {
                program.client = program.client.again();
            }
        }
    }
}

impl Life {
    /// The program whose turn it is signs a request.
    pub fn a_program_signs(&mut self) {
        let due = self.programs.due();
        let which = self.programs.programs.iter().position(|program| program.due == due);
        let Some(which) = which else { return };
        self.sign(which);
        let program = &mut self.programs.programs[which];
        program.due = later(due, seconds(self.rng.u64(1..=2 * program.every)));
    }

    pub fn programs_all_sign(&mut self) {
        for which in 0..self.programs.programs.len() {
            if !self.sign(which) && self.world.watch.violations.is_empty() {
                let what = "a program gets no credential, and nothing is wrong any more";
                self.world.watch.violation("never-refused", what);
            }
        }
    }

    /// Whether it signed.
    fn sign(&mut self, which: usize) -> bool {
        let Self { programs, world, weather, figures, .. } = self;
        let Program { client, until, .. } = &mut programs.programs[which];
        let now = world.now.clone();
        let is_there = client.kind.source == Source::Process || weather.is_agent_up();
        let mut fetch = || {
            figures.fetches += 1;
            let handed = is_there.then(|| world.fetch(0).ok()).flatten()?;
            let access_key_id = handed.snapshot.credentials.access_key_id;
            let second = handed.expiration.as_second();
            let expiration = Timestamp::from_second(second).expect("in range");
            *until = expiration;
            Some(Answer { access_key_id, expiration })
        };
        let Some(id) = client.sign(&now, &mut fetch) else { return false };
        self.figures.signatures += 1;
        let (name, source) = (client.kind.name, client.kind.source);
        // Some SDKs go on with what has expired, for as long as their source fails. A session is then refused
        // because it has expired, rotation or not; the other sources serve nothing else (docs/leases.md).
        let is_overdue = !client.kind.bounded && now.wall >= *until;
        self.figures.overdue += u64::from(is_overdue);
        if !self.world.uses(&id) && !is_overdue {
            let what = format!("{name} ({source:?}) signed with {id}");
            self.world.watch.violation("never-refused", what);
        }
        true
    }
}
