//! How the cases of the released formats were made: a rotation of the harness, stopped at the wanted point.

use std::collections::BTreeSet;

use rotakey_agent::simulator::Behaviour;
use rotakey_core::credential::{AccessKeyId, KeyStatus};
use rotakey_core::journal::{Entry, Origin, Record};
use rotakey_core::rotation::{Command, Goal};
use serde_json::json;

use crate::case::Case;
use crate::scene::{Asked, Ends, Expected};
use crate::system::blows::{Blow, Loss};
use crate::system::machine::enter;
use crate::system::{ROTATE, World, instant_policy, state};

/// A user whose one key a person handed over.
pub fn world() -> World {
    World::new(instant_policy(), Behaviour::default(), Origin::HandedOver, &["here"])
}

pub fn expect(ends: Ends, served: &AccessKeyId) -> Expected {
    Expected { served: Some(served.to_string()), ..Expected::only(ends) }
}

pub fn expect_new() -> Expected {
    Expected { served: Some("new".to_owned()), ..Expected::only(Ends::Finished) }
}

impl Expected {
    pub fn only(ends: Ends) -> Self {
        let (why, left_behind) = (String::new(), BTreeSet::new());
        Self { ends, why, served: None, left_behind, active_until: None }
    }

    pub fn because(self, why: &str) -> Self {
        Self { why: why.to_owned(), ..self }
    }
}

/// Steps until a command is next; programs take their credential meanwhile.
pub fn run_to(world: &mut World, is_it: impl Fn(&Command) -> bool) {
    while let Some(process) = &world.installs[0].process {
        if is_it(&process.command) {
            return;
        }
        if matches!(process.command, Command::Wait { .. }) {
            world.fetch(0).expect("serving goes on");
        }
        world.step(0, None);
    }
}

fn writes(command: &Command, label: &str) -> bool {
    matches!(command, Command::Append(entry) if crate::label(&entry.record) == label)
}

/// A process that dies when it is about to write this record.
pub fn dies_before(world: &mut World, goal: Goal, label: &str) {
    world.start(0, goal, None);
    run_to(world, |command| writes(command, label));
    assert!(world.installs[0].process.take().is_some(), "it never writes {label}");
}

/// A process that dies when it has just written this record.
pub fn dies_after(world: &mut World, goal: Goal, label: &str) {
    world.start(0, goal, None);
    run_to(world, |command| writes(command, label));
    assert!(world.installs[0].process.is_some(), "it never writes {label}");
    world.step(0, Some(Blow::CrashAfter));
}

/// A whole process.
pub fn runs(world: &mut World, goal: Goal) {
    world.start(0, goal, None);
    run_to(world, |_| false);
}

/// A process whose creation gets no reply; it dies when it has just written this record.
fn loses_the_reply(world: &mut World, loss: Loss, label: &str) {
    world.start(0, ROTATE, None);
    run_to(world, |command| matches!(command, Command::Create { .. }));
    world.step(0, Some(Blow::Lost(loss)));
    run_to(world, |command| writes(command, label));
    world.step(0, Some(Blow::CrashAfter));
}

/// The one served, and the one that is to be served, or was made.
pub fn both(world: &mut World) -> (AccessKeyId, AccessKeyId) {
    let served = world.ledger(0).access_key_id;
    let other = world.keys().into_iter().map(|(id, _)| id).find(|id| *id != served);
    (served.clone(), other.unwrap_or(served))
}

/// Somebody outside sets a key's status.
pub fn somebody_sets(world: &mut World, id: &AccessKeyId, status: KeyStatus) {
    world.order(json!({"op": "set-key-status", "access_key_id": id, "status": status}));
    world.watch.somebody_set(id, status, world.now.wall);
    world.watch.meddled.insert(id.clone());
}

pub fn somebody_deletes(world: &mut World, id: &AccessKeyId) {
    world.order(json!({"op": "delete-key", "access_key_id": id}));
    world.watch.meddled.insert(id.clone());
}

/// A record that an engine wrote which did not know better.
pub fn write(world: &mut World, record: Record) {
    let now = world.now.clone();
    let rotation = world.status(0).rotation.map(|open| open.id);
    let entry = Entry { time: now.wall, rotation, record };
    enter(&mut world.installs[0].machine, &now, || {
        state().lock().expect("free").1.append(&entry).expect("legal");
    });
}

/// All of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = every_record();
    cases.extend(lost_replies());
    cases.extend(leaked());
    cases
}

/// Keys that a person said leaked.
fn leaked() -> Vec<Case> {
    let mut cut_off = world();
    dies_after(&mut cut_off, ROTATE, "done-publish");
    dies_after(&mut cut_off, Goal::COMPROMISED, "compromised");
    let newer = cut_off.ledger(0).access_key_id;
    let what = "A key that a person said leaked while it was being drained; then it was killed.";
    let come = expect(Ends::Finished, &newer);
    let cut_off = Case::of("leaked-while-drained", what, &cut_off, Asked::Resume, come);

    let mut replaced = world();
    dies_after(&mut replaced, Goal::COMPROMISED, "intended-deactivate");
    let newer = replaced.ledger(0).access_key_id;
    let what = "A key that leaked, and that was about to be deactivated when it was killed.";
    let come = expect(Ends::Finished, &newer);
    let replaced = Case::of("leaked-to-be-deactivated", what, &replaced, Asked::Resume, come);

    let mut withdrawn = world();
    let first = withdrawn.ledger(0).access_key_id;
    write(&mut withdrawn, Record::Withdrawn { access_key_id: first.clone() });
    write(&mut withdrawn, Record::Disabled { access_key_id: first.clone() });
    let what =
        "A key that leaked and was taken out of service, and that somebody made Active again.";
    let come = expect(Ends::Blocked, &first).because("out of service");
    vec![cut_off, replaced, Case::of("withdrawn", what, &withdrawn, Asked::Rotate, come)]
}

/// A rotation on a good day: killed after each record, and after each act before its record.
fn every_record() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut world = world();
    let first = world.ledger(0).access_key_id;
    world.start(0, ROTATE, None);
    let mut newer = None;
    while let Some(process) = world.installs[0].process.clone() {
        newer =
            newer.or_else(|| world.keys().into_iter().map(|(id, _)| id).find(|id| *id != first));
        let is_held = newer.as_ref().is_some_and(|id| world.held(0).contains(id));
        let come = match &newer {
            Some(newer) if is_held => expect(Ends::Finished, newer),
            _ => expect_new(),
        };
        if let Command::Append(Entry { record, .. }) = &process.command {
            let label = crate::label(record);
            let is_outcome = label.starts_with("done-") || label == "created";
            if is_outcome {
                let what = format!(
                    "A rotation whose process was killed when it had acted, before it could write {label}."
                );
                let name = format!("killed-before-{label}");
                cases.push(Case::of(&name, &what, &world, Asked::Resume, come.clone()));
            }
            world.step(0, None);
            let what =
                format!("A rotation whose process was killed when it had just written {label}.");
            let (asked, come) = match label.as_str() {
                "finished" => (Asked::Rotate, expect_new()),
                _ => (Asked::Resume, come),
            };
            cases.push(Case::of(&format!("killed-after-{label}"), &what, &world, asked, come));
        } else {
            if matches!(process.command, Command::Wait { .. }) {
                world.fetch(0).expect("serving goes on");
            }
            world.step(0, None);
        }
    }
    cases
}

/// Creations whose reply was lost.
fn lost_replies() -> Vec<Case> {
    let mut cases = Vec::new();
    for (loss, so) in [(Loss::Done, "made a key"), (Loss::NotDone, "made none")] {
        let mut world = world();
        loses_the_reply(&mut world, loss, "create-unknown");
        let what = format!("A creation whose reply was lost, and which {so}; then it was killed.");
        let name = format!("reply-lost-{}", so.replace(' ', "-"));
        cases.push(Case::of(&name, &what, &world, Asked::Resume, expect_new()));
    }
    let mut none = world();
    loses_the_reply(&mut none, Loss::NotDone, "not-created");
    let what = "A creation whose reply was lost was found to have made no key; then it was killed.";
    cases.push(Case::of("reply-lost-not-created", what, &none, Asked::Resume, expect_new()));

    let mut orphan = world();
    loses_the_reply(&mut orphan, Loss::Done, "orphan-found");
    let first = orphan.ledger(0).access_key_id;
    let what = "A creation whose reply was lost had made a key whose secret nobody has.";
    cases.push(Case::of("orphan-found", what, &orphan, Asked::Resume, expect_new()));
    let given_up = expect(Ends::Abandoned, &first).because("a person gave it up");
    cases.push(Case::of("orphan-given-up", what, &orphan, Asked::Abort, given_up));
    let mut fenced = orphan.clone();
    dies_after(&mut fenced, Goal::Resume, "done-deactivate");
    let what = "An orphan that was set Inactive, and waits for somebody to miss it.";
    cases.push(Case::of("orphan-fenced", what, &fenced, Asked::Resume, expect_new()));
    let id = both(&mut fenced).1;
    let mut used = fenced.clone();
    somebody_sets(&mut used, &id, KeyStatus::Active);
    let stuck = expect(Ends::Stuck, &first).because("somebody made the orphan");
    let what = "An orphan that was set Inactive, and that somebody made Active again.";
    cases.push(Case::of("orphan-claimed", what, &used, Asked::Resume, stuck));
    let mut gone = fenced.clone();
    somebody_deletes(&mut gone, &id);
    let what = "An orphan that was set Inactive, and that somebody deleted.";
    cases.push(Case::of("orphan-deleted-by-somebody", what, &gone, Asked::Resume, expect_new()));
    dies_after(&mut fenced, Goal::Resume, "intended-delete");
    let what = "An orphan that is about to be deleted.";
    cases.push(Case::of("orphan-to-be-deleted", what, &fenced, Asked::Resume, expect_new()));

    let mut late = World::new(
        instant_policy(),
        Behaviour { server_offset: 590_000, ..Behaviour::default() },
        Origin::Created,
        &["here"],
    );
    loses_the_reply(&mut late, Loss::Done, "create-unknown");
    let what = "A creation whose reply was lost, when AWS's clock was ten minutes ahead of ours.";
    cases.push(Case::of("reply-lost-other-clock", what, &late, Asked::Resume, expect_new()));

    let mut kept = world();
    dies_before(&mut kept, ROTATE, "created");
    let newer = both(&mut kept).1;
    dies_after(&mut kept, Goal::Resume, "created");
    let what = "A key whose creation was never recorded was adopted by its secret in the keystore.";
    let come = expect(Ends::Finished, &newer);
    cases.push(Case::of("adopted", what, &kept, Asked::Resume, come));
    cases
}
