//! Deactivate: the old key is set Inactive, the new one signing, and is seen refused.

use jiff::Timestamp;

use super::drain::Drained;
use super::precheck::{Checked, Precheck};
use super::publish::Published;
use super::{Command, Context, Event, State, Turn, WaitingFor, soak};
use crate::credential::KeyStatus;
use crate::iam::RefusalClass;
use crate::journal::{Act, Record};
use crate::time::later;

#[derive(Clone, Debug)]
pub(crate) struct Deactivate {
    /// The proof is kept until the act it allows.
    _ground: Ground,
    phase: Phase,
}

/// Why the old key may go.
#[derive(Clone, Debug)]
enum Ground {
    Drained {
        _proof: Drained,
    },
    /// It leaked, and the new one is published: whoever holds it is refused.
    Leaked {
        _proof: Published,
    },
}

#[derive(Clone, Debug)]
enum Phase {
    Checking(Precheck),
    Intending,
    Updating,
    /// Is it refused by now?
    Refused(Timestamp),
    Again(Timestamp),
    Recording,
}

impl Deactivate {
    pub(crate) fn enter(cx: &Context<'_>, drained: Drained) -> Turn {
        Self::on(cx, Ground::Drained { _proof: drained })
    }

    /// Without a drain: the one exception to "no stale key", asked for by a person.
    pub(crate) fn cut_off(cx: &Context<'_>, published: Published) -> Turn {
        Self::on(cx, Ground::Leaked { _proof: published })
    }

    fn on(cx: &Context<'_>, ground: Ground) -> Turn {
        let (precheck, command) = Precheck::start(cx);
        let step = Self { _ground: ground, phase: Phase::Checking(precheck) };
        Turn::new(State::Deactivate(step), command)
    }

    pub(crate) fn on_event(self, cx: &Context<'_>, event: Event) -> Turn {
        let id = cx.open().outgoing.id.clone();
        let act = Act::Deactivate { access_key_id: id.clone() };
        let Self { _ground, phase } = self;
        let to = |phase, command| Turn::new(State::Deactivate(Self { _ground, phase }), command);
        match (phase, event) {
            (Phase::Checking(precheck), event) => match precheck.on_event(cx, event) {
                Checked::Next(precheck, command) => to(Phase::Checking(precheck), command),
                Checked::Fails(turn) => turn,
                Checked::Holds(list) => match list.find(&id) {
                    None => cx.then_door(Record::Vanished { access_key_id: id }),
                    Some(_) => to(Phase::Intending, cx.intend(act)),
                },
            },
            (Phase::Intending, Event::Appended) => {
                let signer = cx.open().survivor().id.clone();
                to(Phase::Updating, Command::Update { signer, id, status: KeyStatus::Inactive })
            }
            (Phase::Updating, Event::Ready) => {
                let deadline = later(cx.now.wall, cx.policy().deadline);
                to(Phase::Refused(deadline), cx.identify(&id))
            }
            (Phase::Refused(_), Event::Refused(refusal))
                if refusal.class == RefusalClass::KeyUnknown =>
            {
                to(Phase::Recording, cx.done(act))
            }
            (Phase::Refused(deadline), Event::Identified(_)) if cx.now.wall < deadline => {
                to(Phase::Again(deadline), cx.wait(cx.policy().spacing, WaitingFor::Refusal))
            }
            (Phase::Refused(_), Event::Identified(_)) => {
                cx.stuck(format!("{id} was deactivated, and AWS still accepts it"))
            }
            (Phase::Again(deadline), Event::Woke) => to(Phase::Refused(deadline), cx.identify(&id)),
            (Phase::Recording, Event::Appended) => soak::Soak::enter(cx),
            (Phase::Refused(_), event) => {
                Turn::refused("sts:GetCallerIdentity", event, "deactivate")
            }
            (_, event) => Turn::refused("iam:UpdateAccessKey", event, "deactivate"),
        }
    }
}
