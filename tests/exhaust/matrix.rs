//! docs/crash-matrix.md: what one blow does, at each command of a rotation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use rotakey_core::journal::Record;
use rotakey_core::rotation::{Command, Ending, Goal};

use crate::explore::go_on;
use crate::system::blows::{Blow, Loss, blows};
use crate::system::machine::PowerCut;
use crate::system::watch::INVARIANTS;
use crate::system::{ROTATE, World};

/// The columns.
const COLUMNS: [&str; 8] = [
    "crash",
    "throttled, conflict",
    "key refused",
    "denied",
    "other refusals",
    "no answer",
    "disk",
    "keystore",
];

/// The document.
pub fn render(start: &World) -> String {
    let mut rows: Vec<String> = Vec::new();
    let mut cells: BTreeMap<(usize, usize), BTreeSet<String>> = BTreeMap::new();
    let mut cases = 0;
    let mut world = start.clone();
    world.start(0, ROTATE, None);
    while let Some(process) = world.installs[0].process.clone() {
        let label = label(&world, &process.command);
        let row = rows.iter().position(|known| *known == label).unwrap_or_else(|| {
            rows.push(label);
            rows.len() - 1
        });
        for blow in blows(&world, 0) {
            let cell = cells.entry((row, column(&world, blow))).or_default();
            cell.insert(outcome(&world, blow));
            cases += 1;
        }
        go_on(&mut world);
    }
    document(&rows, &cells, cases)
}

fn document(
    rows: &[String],
    cells: &BTreeMap<(usize, usize), BTreeSet<String>>,
    cases: usize,
) -> String {
    let mut text = String::from(INTRODUCTION);
    for (name, meaning) in INVARIANTS {
        writeln!(text, "- **{name}**: {meaning}").expect("memory");
    }
    writeln!(text, "\n{cases} single blows:\n").expect("memory");
    writeln!(text, "| step: command | {} |", COLUMNS.join(" | ")).expect("memory");
    writeln!(text, "| --- |{}", " --- |".repeat(COLUMNS.len())).expect("memory");
    for (row, label) in rows.iter().enumerate() {
        let cell = |column| {
            let outcomes = cells.get(&(row, column)).into_iter().flatten();
            outcomes.map(String::as_str).collect::<Vec<_>>().join("; ")
        };
        let line = (0..COLUMNS.len()).map(cell).collect::<Vec<_>>().join(" | ");
        writeln!(text, "| {label} | {line} |").expect("memory");
    }
    text
}

const INTRODUCTION: &str = "\
# What a crash or a fault does, at each instant of a rotation

Made by `tests/exhaust.rs` (`make docs-generated`); a test fails when it is stale. The real engine, driver, journal,
ledger and IAM simulator run on virtual time, on a disk and a keystore that fail to order. At each command of a
rotation, one thing goes wrong; what follows is followed to its end. `make exhaust` does the same with two things
going wrong, one after the other, and for `undo` and `abort` begun at each instant.

- *goes on*: the same process asks again, or does without, and the rotation is completed
- *resumes*: the process is gone; the next one completes the rotation
- *stops, resumes*: the process ends with an error that says why; nothing is lost, and `resume` completes the rotation
- *given up*: the new key is deleted, the old one is served as before
- *not begun*: nothing was changed
- *undone*: the old key is served again, and the new one is drained and deleted in its turn
- *asks, resumes*: the rotation is `Stuck` until a person says `resume`

A crash is tried before and after the command, and before, within and after each write, sync, rename and keystore
call that it is made of, with what was not synced lost and kept. Each operation on the disk and the keystore also
fails before, half-way and after it was done. A reply of AWS that does not come is tried with the call done, not done,
and never sent.

After every event, whatever goes wrong:

";

/// Where a rotation is, and what it does there.
fn label(world: &World, command: &Command) -> String {
    let status = world.installs[0].process.as_ref().map(|p| p.rotation.status());
    let step =
        status.and_then(|s| s.rotation.as_ref()).map_or("preflight", |open| open.step.name());
    let command = match command {
        Command::Append(entry) => match &entry.record {
            Record::Intended { act } => format!("record: intends to {}", act.name()),
            Record::Done { act } => format!("record: done, {}", act.name()),
            record => {
                let kind = serde_json::to_value(record).expect("plain data")["kind"].clone();
                format!("record: {}", kind.as_str().unwrap_or_default())
            }
        },
        Command::ProbeKeystore => "keystore: try it".to_owned(),
        Command::Store(_) => "keystore: keep the new secret".to_owned(),
        Command::Holds(_) => "keystore: look for a secret".to_owned(),
        Command::Forget(_) => "keystore: forget the old secret".to_owned(),
        Command::Publish { .. } => "ledger: serve the new key".to_owned(),
        Command::Fetch => "sources: fetch the new key".to_owned(),
        Command::ReadHorizon(_) => "ledger: read the horizon".to_owned(),
        Command::Wait { waiting_for, .. } => format!("wait for {waiting_for}"),
        Command::End(_) => "end".to_owned(),
        call => call.action().to_owned(),
    };
    format!("{step}: {command}")
}

fn column(world: &World, blow: Blow) -> usize {
    use rotakey_core::iam::RefusalClass as Class;
    match blow {
        Blow::CrashBefore | Blow::CrashAfter => 0,
        Blow::Refused(Class::Throttled | Class::Conflict) => 1,
        Blow::Refused(Class::KeyUnknown) => 2,
        Blow::Refused(Class::Permission | Class::Quarantine) => 3,
        Blow::Refused(_) => 4,
        Blow::Lost(Loss::Done | Loss::NotDone | Loss::NotSent) => 5,
        Blow::Trouble(_, trouble) if trouble.is_deadly() => 0,
        Blow::Trouble(number, _) => {
            let mut rehearsal = world.clone();
            rehearsal.step(0, None);
            let operation = rehearsal.installs[0].machine.operations[number];
            if operation.is_keystore() { 7 } else { 6 }
        }
    }
}

/// What one blow comes to in the end.
fn outcome(world: &World, blow: Blow) -> String {
    let mut world = world.clone();
    let first = world.ledger(0).access_key_id;
    world.step(0, Some(blow));
    let mut how = "goes on";
    for _ in 0..8 {
        while world.installs[0].process.is_some() {
            go_on(&mut world);
        }
        let was_dead = world.installs[0].machine.is_dead || world.installs[0].ended.is_none();
        world.power_cut(0, PowerCut::Kept);
        let ended = world.installs[0].ended.clone();
        let is_open = world.status(0).rotation.is_some();
        how = match (how, ended) {
            ("goes on", _) if was_dead => "resumes",
            ("goes on", Some(Ending::Failed(_))) => "stops, resumes",
            ("goes on", Some(Ending::Stuck(_))) => "asks, resumes",
            ("goes on", Some(Ending::Abandoned(_))) => "given up",
            ("goes on", Some(Ending::Blocked(_))) => "not begun",
            (how, _) => how,
        };
        let goal = match is_open {
            true => Goal::Resume,
            // It died before it had begun: a person tries again.
            false if was_dead && world.status(0).generation.0 == 1 => ROTATE,
            false => break,
        };
        world.start(0, goal, None);
    }
    world.settled(0);
    assert!(world.watch.violations.is_empty(), "{blow:?}: {:?}", world.watch.violations);
    let status = world.status(0);
    let is_undone = status.last_failure.is_some() && status.generation.0 > 2;
    let is_old = world.ledger(0).access_key_id == first;
    let is_begun = world.entries(0).iter().any(|e| matches!(e.record, Record::Begun { .. }));
    match how {
        _ if is_undone => "undone",
        _ if !is_begun => "not begun",
        "stops, resumes" | "goes on" | "resumes" if is_old => "given up",
        how => how,
    }
    .to_owned()
}
