//! An engine's process: started, its orders carried out one by one, each as it should be or going wrong.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_agent::driver::{Driver, Endpoint, Offered};
use rotakey_agent::serve::hand_out;
use rotakey_agent::simulator::InProcess;
use rotakey_agent::store::profile::Journal;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::error::Failure;
use rotakey_core::journal::RotationId;
use rotakey_core::rotation::{Command, Ending, Event, Goal, Rotation, Task};

use super::blows::{self, Blow, Loss};
use super::breaking::{BreakingKeystore, EnteredClock};
use super::machine::{PowerCut, Trouble, enter};
use super::{World, state};

/// An engine at work.
#[derive(Clone)]
pub struct Process {
    pub goal: Goal,
    pub rotation: Rotation,
    pub journal: Journal,
    /// What it orders next.
    pub command: Command,
}
/// Asks the sources as programs do: each answer by a process of its own.
struct OwnSources<'a> {
    lease: Duration,
    healthy_since: Option<Timestamp>,
    given: &'a Mutex<Vec<(AccessKeyId, Timestamp)>>,
}

impl Endpoint for OwnSources<'_> {
    async fn published(&self) {}

    async fn fetch(&self) -> Vec<(String, Result<Offered, String>)> {
        let handed = hand_out(&state(), &BreakingKeystore, &EnteredClock, self.lease);
        let credentials = handed.map_err(|error| error.to_string()).map(|handed| {
            let credentials = handed.snapshot.credentials;
            let id = credentials.access_key_id.clone();
            self.given.lock().expect("one thread").push((id, handed.expiration));
            credentials
        });
        vec![("process".to_owned(), credentials.map(Offered::from))]
    }

    async fn healthy_since(&self) -> Option<Timestamp> {
        self.healthy_since
    }
}

impl World {
    /// Starts an engine's process, which goes as far as its first command. `trouble` is met while the journal
    /// is opened.
    pub fn start(&mut self, which: usize, goal: Goal, trouble: Option<(usize, Trouble)>) {
        if goal == Goal::COMPROMISED {
            self.note_hurry(which);
        }
        let (policy, now) = (Arc::clone(&self.policy), self.now.clone());
        let install = &mut self.installs[which];
        install.started += 1;
        install.machine.trouble = trouble;
        install.machine.operations.clear();
        let opened = enter(&mut install.machine, &now, || state().lock());
        install.machine.trouble = None;
        match opened {
            _ if install.machine.is_dead => {}
            Err(error) => {
                let failure = Failure::Environment(error.to_string());
                install.ended = Some(Ending::Failed(failure));
            }
            Ok((_lock, journal)) => {
                let status = journal.status().clone();
                let task = Task {
                    policy: (*policy).clone(),
                    rotation: RotationId(format!("{which:08x}{:08x}", status.generation.0)),
                    tag: format!("rotakey:{}", install.name),
                    goal: goal.clone(),
                };
                let mut rotation = Rotation::new(task, status);
                let command = rotation.start(&now);
                install.ended = None;
                install.process = Some(Process { goal, rotation, journal, command });
                self.end_if_over(which);
            }
        }
    }

    /// Carries out what an engine ordered, or lets it go wrong, and feeds back what came of it.
    pub fn step(&mut self, which: usize, blow: Option<Blow>) {
        let Some(mut process) = self.installs[which].process.take() else { return };
        let command = process.command.clone();
        self.watch_before(which, &command, &process.journal);
        let before = self.watch.keys(&self.iam);
        let event = match blow {
            Some(Blow::CrashBefore) => None,
            Some(Blow::Refused(class)) => Some(Event::Refused(blows::refusal(class))),
            Some(Blow::Lost(loss)) => {
                if loss == Loss::Done {
                    self.perform(which, &mut process, None);
                }
                Some(Event::Unknown(loss.doubt()))
            }
            Some(Blow::CrashAfter) => {
                self.perform(which, &mut process, None);
                None
            }
            Some(Blow::Trouble(number, trouble)) => {
                self.perform(which, &mut process, Some((number, trouble)))
            }
            None => self.perform(which, &mut process, None),
        };
        self.watch_after(which, &command, &before);
        if let Some(event) = event.filter(|_| !self.installs[which].machine.is_dead) {
            process.command = process.rotation.handle(&self.now, event);
            self.installs[which].process = Some(process);
            self.end_if_over(which);
        } else {
            self.installs[which].ended = None;
        }
        self.check(which);
        if self.watch.reads_journal {
            self.check_journal(which);
        }
    }

    fn perform(
        &mut self,
        which: usize,
        process: &mut Process,
        trouble: Option<(usize, Trouble)>,
    ) -> Option<Event> {
        if let Command::Wait { until, .. } = process.command {
            if let Ok(left) = Duration::try_from(until.duration_since(self.now.wall)) {
                self.pass(left);
            }
            return Some(Event::Woke);
        }
        let given = Mutex::new(Vec::new());
        let (wall, server) = (self.now.wall, self.true_time());
        let install = &mut self.installs[which];
        let simulator = Arc::new(Mutex::new(std::mem::take(&mut self.iam)));
        let service =
            InProcess::new(Arc::clone(&simulator), move || server).signing_by(move || wall);
        let (lease, healthy_since) = (self.policy.lease, install.healthy_since);
        let endpoint = OwnSources { lease, healthy_since, given: &given };
        let state = state();
        let tag = format!("rotakey:{}", install.name);
        let mut driver = Driver {
            service: &service,
            keystore: &BreakingKeystore,
            state: &state,
            journal: process.journal.clone(),
            endpoint: &endpoint,
            clock: &EnteredClock,
            policy: &self.policy,
            tag: &tag,
            mfa: None,
        };
        install.machine.trouble = trouble;
        install.machine.operations.clear();
        let (command, status) = (process.command.clone(), process.rotation.status().clone());
        let event = enter(&mut install.machine, &self.now, || {
            let future = pin!(driver.perform(command, &status));
            match future.poll_once() {
                Poll::Ready(event) => event,
                Poll::Pending => unreachable!("nothing here waits"),
            }
        });
        install.machine.trouble = None;
        process.journal = driver.journal;
        drop(service);
        self.iam = std::mem::take(&mut *simulator.lock().expect("one thread"));
        for (id, expiration) in given.into_inner().expect("one thread") {
            self.watch.lease(id, expiration, &self.now, self.policy.lease);
        }
        Some(event)
    }

    fn end_if_over(&mut self, which: usize) {
        let install = &mut self.installs[which];
        if let Some(Process { command: Command::End(ending), .. }) = &install.process {
            install.ended = Some(ending.clone());
            install.process = None;
        }
    }

    /// The power of a machine goes, and with it its process.
    pub fn power_cut(&mut self, which: usize, what: PowerCut) {
        self.installs[which].process = None;
        self.installs[which].machine.power_cut(what);
        self.check(which);
    }
}

/// Everything here is ready at once.
pub(super) trait PollOnce {
    type Output;
    fn poll_once(self) -> Poll<Self::Output>;
}

impl<F: Future> PollOnce for std::pin::Pin<&mut F> {
    type Output = F::Output;

    fn poll_once(self) -> Poll<F::Output> {
        self.poll(&mut Context::from_waker(Waker::noop()))
    }
}
