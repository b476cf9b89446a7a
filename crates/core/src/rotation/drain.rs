//! Drain: wait until no client can still sign with the old key, and until no use of it is unexplained.

use jiff::Timestamp;

use super::deactivate::Deactivate;
use super::publish::Published;
use super::{Command, Context, Event, State, Turn, WaitingFor};
use crate::iam::LastUsed;
use crate::journal::{Act, Record, Step};
use crate::lease::{Horizon, Safety, Serving, safety};
use crate::policy::OnStraggler;
use crate::time::later;

/// Nobody holds a lease on the outgoing key, and nobody unknown uses it; seen in this process.
#[derive(Clone, Debug)]
pub(crate) struct Drained {
    _private: (),
}

#[derive(Clone, Debug)]
pub(crate) struct Drain {
    /// Kept from publish: draining makes no sense while the old key is served.
    _published: Published,
    horizon: Option<Horizon>,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Horizon,
    Waiting,
    LastUsed,
    Recording,
}

impl Drain {
    pub(crate) fn enter(cx: &Context<'_>, published: Published) -> Turn {
        let command = Command::ReadHorizon(cx.open().outgoing.id.clone());
        let drain = Self { _published: published, horizon: None, phase: Phase::Horizon };
        Turn::new(State::Drain(drain), command)
    }

    pub(crate) fn on_event(mut self, cx: &Context<'_>, event: Event) -> Turn {
        let open = cx.open();
        match (&self.phase, event) {
            (Phase::Horizon, Event::Horizon { horizon, healthy_since, fell_over }) => {
                self.horizon = horizon;
                let published = open.published.unwrap_or(cx.now.wall);
                let healthy = healthy_since.map_or(published, |since| since.max(published));
                let serving = Serving { healthy_since: healthy, fell_over };
                let safety = safety(self.horizon.as_ref(), serving, cx.policy(), cx.now);
                if let Safety::NotBefore(until) = safety {
                    return self.wait(until, WaitingFor::Leases);
                }
                // What our own ledger explains shows nobody unknown: observing begins when that ends.
                let observed = later(self.explained(cx, published), cx.policy().observe);
                if open.outgoing.has_unknown_holders() && cx.now.wall < observed {
                    return self.wait(observed, WaitingFor::Observation);
                }
                let signer = open.survivor().id.clone();
                let id = open.outgoing.id.clone();
                self.to(Phase::LastUsed, Command::LastUsed { signer, id })
            }
            (Phase::Waiting, Event::Woke) => {
                let command = Command::ReadHorizon(open.outgoing.id.clone());
                self.to(Phase::Horizon, command)
            }
            (Phase::LastUsed, Event::LastUsed(used)) => match self.straggler(cx, used) {
                Some((until, used)) => {
                    self.wait(until, WaitingFor::Straggler(used.at, used.service))
                }
                None if open.step == Step::Deactivate => {
                    Deactivate::enter(cx, Drained { _private: () })
                }
                None => {
                    let id = open.outgoing.id.clone();
                    self.to(Phase::Recording, cx.append(Record::Drained { access_key_id: id }))
                }
            },
            (Phase::Recording, Event::Appended) => Deactivate::enter(cx, Drained { _private: () }),
            (_, event) => Turn::refused("iam:GetAccessKeyLastUsed", event, "drain"),
        }
    }

    fn to(mut self, phase: Phase, command: Command) -> Turn {
        self.phase = phase;
        Turn::new(State::Drain(self), command)
    }

    fn wait(self, until: Timestamp, waiting_for: WaitingFor) -> Turn {
        self.to(Phase::Waiting, Command::Wait { until, waiting_for })
    }

    /// Until when a use of the outgoing key may be that of a program that was served it.
    fn explained(&self, cx: &Context<'_>, published: Timestamp) -> Timestamp {
        let served = self.horizon.as_ref().and_then(|horizon| horizon.served_until);
        let signed = served.map(|until| later(until, cx.policy().signature_window));
        signed.map_or(published, |until| until.max(published))
    }

    /// A use after the drain began that our own ledger does not explain, and until when it holds us.
    fn straggler(&self, cx: &Context<'_>, used: Option<LastUsed>) -> Option<(Timestamp, LastUsed)> {
        let (used, open) = (used?, cx.open());
        let explained = self.explained(cx, open.published?);
        // Once we began to deactivate, the probes that see it refused are our own.
        let ours = match &open.intent {
            Some((Act::Deactivate { .. }, at)) => used.at >= *at,
            _ => false,
        };
        if used.at <= explained || ours {
            return None;
        }
        let policy = cx.policy();
        let until = match policy.on_straggler {
            OnStraggler::Pass(told) if used.at <= told => return None,
            // IAM tells the first use of each quarter of an hour: the last one may be as much later.
            OnStraggler::Hold | OnStraggler::Pass(_) => {
                later(used.at, policy.observe + policy.signature_window)
            }
            // Whoever never stops does not hold it for ever.
            OnStraggler::Proceed => later(explained, policy.observe),
        };
        (cx.now.wall < until).then_some((until, used))
    }
}
