//! Plays a schedule, and watches who signs with K.
//!
//! Between events every client is asked, on a copy, what it would sign with now: so that each instant is tried
//! at which a program might have come to life.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rotakey_core::lease::Safety;

use crate::figures::Figures;
use crate::model_clients::Client;
use crate::rule::Watch;
use crate::schedule::{Event, Schedule};
use crate::world::{World, old};

/// S as AWS has it, whatever the rule says.
const SIGNATURE_WINDOW: Duration = Duration::from_secs(15 * 60);
const GRID: Duration = Duration::from_secs(300);
const FINE_GRID: Duration = Duration::from_secs(60);

/// A schedule that is being played.
pub struct Play {
    pub world: World,
    pub clients: Vec<Client>,
    /// Whether steps of the clock and outages keep to what the rule assumes.
    pub assuming: bool,
    /// The wall clock when a client's last fetch failed.
    pub failed: Option<Timestamp>,
    /// In true time, when K could last be signed with on this machine since it was booted.
    pub signed: Option<Duration>,
    /// K is deactivated.
    pub gone: Option<Gone>,
    pub figures: Figures,
}

/// When K was first safe, by the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Gone {
    pub at: Timestamp,
    /// When the last lease on it had ended, and the last back-off.
    pub ended: Timestamp,
}

/// A client signed with K when none could.
pub type Broken = String;

impl Play {
    pub fn new(world: World, clients: Vec<Client>) -> Self {
        let mut figures = Figures { schedules: 1, ..Figures::default() };
        for Client { kind, .. } in &clients {
            figures.kinds.insert(format!("{:?} {}", kind.source, kind.name));
        }
        Self { world, clients, assuming: true, failed: None, signed: None, gone: None, figures }
    }

    /// All of it.
    pub fn run(&mut self, schedule: &Schedule) -> Result<(), Broken> {
        for event in &schedule.before {
            self.event(event)?;
        }
        self.cutover()?;
        for event in &schedule.after {
            self.event(event)?;
        }
        self.heal()?;
        for event in &schedule.gone {
            self.event(event)?;
        }
        self.event(&Event::SignAll)
    }

    /// Publishing is itself a write of the ledger: a full disk holds it.
    pub fn cutover(&mut self) -> Result<(), Broken> {
        self.world.disk_full = false;
        self.world.publish();
        self.look()
    }

    /// What is broken is mended, and K becomes safe: no rule is good that never says so.
    pub fn heal(&mut self) -> Result<(), Broken> {
        self.event(&Event::OutageEnds)?;
        self.event(&Event::DiskEmpties)?;
        for _ in 0..3 {
            self.event(&Event::PassToSafe(0))?;
            if self.gone.is_some() {
                return Ok(());
            }
        }
        Err(format!("never safe: {:?} at {}", self.world.safety(), self.world.wall))
    }

    pub fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.figures.events += 1;
        match *event {
            Event::Sign(place) => self.sign(place % self.clients.len())?,
            Event::SignAll => (0..self.clients.len()).try_for_each(|place| self.sign(place))?,
            Event::Pass(seconds) => self.pass(Duration::from_secs(seconds.into()))?,
            Event::PassToSafe(offset) => {
                let left = self.to_safe() + SignedDuration::from_secs(offset.into());
                self.pass(left.try_into().unwrap_or_default())?;
            }
            Event::Suspend(seconds) => self.world.pass(Duration::from_secs(seconds.into()), false),
            Event::Step(seconds) => self.set_clock(seconds, true),
            Event::Reboot { off, step } => self.reboot(off, step),
            Event::OutageBegins => self.outage(),
            Event::OutageEnds => {
                if std::mem::take(&mut self.world.outage) {
                    self.world.serving_begins();
                }
                self.failed = None;
            }
            Event::DiskFills => self.world.disk_full = true,
            Event::DiskEmpties => self.world.disk_full = false,
            Event::AnswerOnItsWay => self.world.answer_later(),
            Event::Crash { recorded } => {
                self.sleepers_end();
                self.world.crash = Some(recorded);
            }
            Event::Restart => self.world.restart(),
            // Only an agent's is waited for. Once K is gone, there is nothing to fall over to.
            Event::FallsOver => {
                if self.world.watch == Watch::Agent && self.world.published() && self.gone.is_none()
                {
                    self.world.fell_over = self.world.fell_over.max(Some(self.world.wall));
                    self.signed = Some(self.world.truth);
                }
            }
        }
        self.look()
    }

    fn sign(&mut self, place: usize) -> Result<(), Broken> {
        let (world, failed) = (&mut self.world, &mut self.failed);
        let now = world.now();
        let mut fetch = || {
            let answer = world.answer();
            if answer.is_none() {
                *failed = (*failed).max(Some(now.wall));
            }
            answer
        };
        let signed = self.clients[place].sign(&now, &mut fetch);
        self.figures.signatures += u64::from(signed.is_some());
        if signed == Some(old()) {
            self.figures.signatures_by_old += 1;
            self.used(place)?;
        }
        Ok(())
    }

    fn used(&mut self, place: usize) -> Result<(), Broken> {
        self.signed = Some(self.world.truth);
        match self.gone {
            Some(_) => Err(format!("{:?} signs with K after SAFE(K)", self.clients[place])),
            None => Ok(()),
        }
    }

    /// SAFE is asked, then every client.
    fn look(&mut self) -> Result<(), Broken> {
        if !self.world.published() {
            return Ok(());
        }
        if self.gone.is_none() && self.world.safety() == Safety::Safe {
            self.gone = Some(Gone { at: self.world.wall, ended: self.world.bound() });
            // From here on a crash is an outage, and begins as one.
            self.world.crash = None;
            let since = self.signed.map(|signed| self.world.truth - signed);
            if since.is_some_and(|since| since < SIGNATURE_WINDOW) {
                return Err(format!("K was signed with {since:?} before SAFE(K)"));
            }
        }
        if self.world.answer_on_its_way_has_expired() {
            // To an SDK that refuses it, no answer at all.
            self.sleepers_end();
        }
        let now = self.world.now();
        for place in 0..self.clients.len() {
            if self.clients[place].holds() == Some(&old()) {
                self.figures.asked += 1;
                let mut copy = self.clients[place].clone();
                if copy.sign(&now, &mut || self.world.would_answer()) == Some(old()) {
                    self.used(place)?;
                }
            }
        }
        Ok(())
    }

    /// How long until K may be safe, by the wall clock.
    fn to_safe(&self) -> SignedDuration {
        match self.world.safety() {
            _ if !self.world.published() || self.gone.is_some() => SignedDuration::ZERO,
            Safety::Safe => SignedDuration::ZERO,
            Safety::NotBefore(until) => until.duration_since(self.world.wall),
        }
    }

    fn pass(&mut self, mut time: Duration) -> Result<(), Broken> {
        while !time.is_zero() {
            let held = self.clients.iter().any(|client| client.holds() == Some(&old()));
            let mut piece = time;
            if self.world.published() && (held || self.gone.is_none()) {
                let named = Duration::try_from(self.to_safe()).unwrap_or_default();
                let near = named <= SIGNATURE_WINDOW + FINE_GRID;
                piece = piece.min(if near { FINE_GRID } else { GRID });
                piece = if named.is_zero() { piece } else { piece.min(named) };
            }
            self.world.pass(piece, true);
            time -= piece;
            self.look()?;
        }
        Ok(())
    }
}
