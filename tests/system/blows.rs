//! Everything that can go wrong with one command of the engine.

use rotakey_core::iam::{Doubt, Refusal, RefusalClass};
use rotakey_core::rotation::Command;

use super::World;
use super::machine::{Operation, Trouble};

/// What happens at one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blow {
    /// The process dies before it.
    CrashBefore,
    /// The process dies after it, before it learns what came of it.
    CrashAfter,
    /// AWS says no.
    Refused(RefusalClass),
    /// AWS's answer does not come.
    Lost(Loss),
    /// One operation on the disk or the keystore goes wrong.
    Trouble(usize, Trouble),
}

/// What became of a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// It was carried out.
    Done,
    /// It arrived nowhere, but that cannot be known.
    NotDone,
    /// It provably never left.
    NotSent,
}

impl Loss {
    pub fn doubt(self) -> Doubt {
        Doubt { sent: self != Self::NotSent, reason: "no answer".to_owned() }
    }
}

/// Every class of refusal.
const CLASSES: [RefusalClass; 11] = [
    RefusalClass::KeyUnknown,
    RefusalClass::WrongSecret,
    RefusalClass::Clock,
    RefusalClass::Expired,
    RefusalClass::Permission,
    RefusalClass::Quarantine,
    RefusalClass::Throttled,
    RefusalClass::Quota,
    RefusalClass::NoSuchEntity,
    RefusalClass::Conflict,
    RefusalClass::Invalid,
];

pub fn refusal(class: RefusalClass) -> Refusal {
    Refusal { class, code: format!("{class:?}"), message: "a blow".to_owned() }
}

impl Blow {
    /// Whether the process is dead after it.
    pub fn is_deadly(self) -> bool {
        match self {
            Self::CrashBefore | Self::CrashAfter => true,
            Self::Refused(_) | Self::Lost(_) => false,
            Self::Trouble(_, trouble) => trouble.is_deadly(),
        }
    }

    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Self::CrashBefore => "crash before".to_owned(),
            Self::CrashAfter => "crash after".to_owned(),
            Self::Refused(class) => format!("refused: {class:?}"),
            Self::Lost(Loss::Done) => "no answer, done".to_owned(),
            Self::Lost(Loss::NotDone) => "no answer, not done".to_owned(),
            Self::Lost(Loss::NotSent) => "not sent".to_owned(),
            Self::Trouble(number, trouble) => format!("operation {number} {trouble:?}"),
        }
    }
}

/// The blows that the next command of an installation can take.
pub fn blows(world: &World, which: usize) -> Vec<Blow> {
    let Some(process) = &world.installs[which].process else { return Vec::new() };
    let mut blows = vec![Blow::CrashBefore, Blow::CrashAfter];
    if let Command::Wait { .. } = process.command {
        // Dying while it waits is dying before or after.
        return blows;
    }
    if !process.command.action().is_empty() {
        blows.extend(CLASSES.map(Blow::Refused));
        blows.extend([Loss::Done, Loss::NotDone, Loss::NotSent].map(Blow::Lost));
    }
    let mut rehearsal = world.clone();
    rehearsal.step(which, None);
    blows.extend(troubles(&rehearsal.installs[which].machine.operations));
    blows
}

/// One blow that a command may take; `draw` gives a number below its argument.
pub fn random_blow(command: &Command, draw: &mut dyn FnMut(usize) -> usize) -> Blow {
    let is_call = !command.action().is_empty();
    match draw(if is_call { 4 } else { 3 }) {
        0 => [Blow::CrashBefore, Blow::CrashAfter][draw(2)],
        // Most commands are made of fewer operations: then nothing happens.
        1 | 2 => {
            let troubles = Operation::Write.troubles();
            Blow::Trouble(draw(8), troubles[draw(troubles.len())])
        }
        _ => match draw(CLASSES.len() + 3) {
            lost @ 0..3 => Blow::Lost([Loss::Done, Loss::NotDone, Loss::NotSent][lost]),
            class => Blow::Refused(CLASSES[class - 3]),
        },
    }
}

/// The ways in which these operations can go wrong.
pub fn troubles(operations: &[Operation]) -> impl Iterator<Item = Blow> {
    operations.iter().enumerate().flat_map(|(number, operation)| {
        operation.troubles().iter().map(move |trouble| Blow::Trouble(number, *trouble))
    })
}
