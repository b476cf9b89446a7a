//! Verify: the key is accepted N times in a row at every vantage, signed with itself.
//!
//! An undo comes here first as well, with the previous key, which may have to be made Active again.

use jiff::Timestamp;

use super::publish::Publish;
use super::{Command, Context, Event, State, Turn, WaitingFor};
use crate::credential::{AccessKeyId, KeyStatus};
use crate::iam::Vantage;
use crate::journal::{Act, Record};
use crate::time::later;

/// The incoming key was accepted as often as the policy asks, in this process.
#[derive(Clone, Debug)]
pub(crate) struct KeyVerified {
    key: AccessKeyId,
}

impl KeyVerified {
    pub(crate) fn key(&self) -> &AccessKeyId {
        &self.key
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Verify {
    key: AccessKeyId,
    deadline: Timestamp,
    /// Rounds in a row in which every vantage accepted the key.
    successes: u32,
    /// The next vantage of the round.
    vantage: usize,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    IntendActivate,
    Activating,
    Activated,
    Probing,
    Spacing,
    Settling,
    /// The last round, after settling.
    Confirming,
    Recording,
}

impl Verify {
    /// Verifies the incoming key.
    pub(crate) fn enter(cx: &Context<'_>) -> Turn {
        Self::new(cx, Phase::Probing).map_or_else(|turn| *turn, |verify| verify.probe(cx))
    }

    /// Makes the incoming key Active first.
    pub(crate) fn activate(cx: &Context<'_>) -> Turn {
        match Self::new(cx, Phase::IntendActivate) {
            Err(turn) => *turn,
            Ok(verify) => {
                let act = Act::Activate { access_key_id: verify.key.clone() };
                let command = cx.intend(act);
                Turn::new(State::Verify(verify), command)
            }
        }
    }

    fn new(cx: &Context<'_>, phase: Phase) -> Result<Self, Box<Turn>> {
        let Some(key) = &cx.open().incoming else {
            return Err(Box::new(Turn::bug("verify without a key", &Event::Woke)));
        };
        let deadline = later(cx.now.wall, cx.policy().deadline);
        Ok(Self { key: key.id.clone(), deadline, successes: 0, vantage: 0, phase })
    }

    pub(crate) fn on_event(mut self, cx: &Context<'_>, event: Event) -> Turn {
        match (&self.phase, event) {
            (Phase::IntendActivate, Event::Appended) => {
                let signer = cx.open().survivor().id.clone();
                let command =
                    Command::Update { signer, id: self.key.clone(), status: KeyStatus::Active };
                self.to(Phase::Activating, command)
            }
            (Phase::Activating, Event::Ready) => {
                let command = cx.done(Act::Activate { access_key_id: self.key.clone() });
                self.to(Phase::Activated, command)
            }
            (Phase::Activated, Event::Appended) => {
                self.phase = Phase::Probing;
                self.probe(cx)
            }
            (Phase::Probing | Phase::Confirming, Event::Identified(identity)) => {
                if !cx.is_our_user(&identity) {
                    return self.give_up(cx, format!("the new key belongs to {}", identity.arn));
                }
                self.accepted(cx)
            }
            (Phase::Probing | Phase::Confirming, Event::Listed(_)) => self.accepted(cx),
            // Whoever is told that he may not was recognised.
            (Phase::Probing | Phase::Confirming, Event::Refused(refusal))
                if refusal.class.is_authenticated() =>
            {
                self.accepted(cx)
            }
            (Phase::Probing | Phase::Confirming, Event::Refused(refusal)) => {
                self.successes = 0;
                self.vantage = 0;
                if cx.now.wall >= self.deadline {
                    return self.give_up(cx, format!("the new key is still refused: {refusal}"));
                }
                self.to(Phase::Spacing, cx.wait(cx.policy().spacing, WaitingFor::Propagation))
            }
            (Phase::Spacing, Event::Woke) => {
                self.phase = Phase::Probing;
                self.probe(cx)
            }
            (Phase::Settling, Event::Woke) => {
                self.phase = Phase::Confirming;
                self.probe(cx)
            }
            (Phase::Recording, Event::Appended) => {
                Publish::enter(cx, KeyVerified { key: self.key })
            }
            (_, event) => Turn::refused("the verification of the key", event, "verify"),
        }
    }

    fn to(mut self, phase: Phase, command: Command) -> Turn {
        self.phase = phase;
        Turn::new(State::Verify(self), command)
    }

    fn probe(self, cx: &Context<'_>) -> Turn {
        let signer = self.key.clone();
        let command = match cx.policy().vantages.get(self.vantage) {
            Some(Vantage::Iam) => Command::List { signer },
            Some(Vantage::Sts(region)) => Command::Identify { signer, region: region.clone() },
            None => cx.identify(&signer),
        };
        Turn::new(State::Verify(self), command)
    }

    fn accepted(mut self, cx: &Context<'_>) -> Turn {
        self.vantage += 1;
        if self.vantage < cx.policy().vantages.len() {
            return self.probe(cx);
        }
        self.vantage = 0;
        if self.phase == Phase::Confirming {
            return self.verified(cx);
        }
        self.successes += 1;
        if self.successes < cx.policy().successes {
            return self.to(Phase::Spacing, cx.wait(cx.policy().spacing, WaitingFor::Propagation));
        }
        let settles = !cx.open().verified && !cx.open().is_cut_off();
        if !settles || cx.policy().settle.is_zero() {
            return self.verified(cx);
        }
        self.to(Phase::Settling, cx.wait(cx.policy().settle, WaitingFor::Settling))
    }

    fn verified(self, cx: &Context<'_>) -> Turn {
        if cx.open().verified {
            return Publish::enter(cx, KeyVerified { key: self.key });
        }
        let record = Record::Verified { access_key_id: self.key.clone() };
        self.to(Phase::Recording, cx.append(record))
    }

    fn give_up(self, cx: &Context<'_>, why: String) -> Turn {
        if cx.open().undone.is_some() {
            return cx.stuck(format!("the undo failed: {why}"));
        }
        // Nobody was given the new key yet: it goes, and the old one signs that.
        if cx.open().intent.is_some() {
            return cx.stuck(why);
        }
        cx.then_door(Record::AbortBegun { why })
    }
}
