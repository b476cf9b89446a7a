//! How the cases of the bugs that were found were made.

use rotakey_agent::simulator::Behaviour;
use rotakey_core::credential::AccessKeyId;
use rotakey_core::journal::{Origin, Record};
use rotakey_core::lease::{Horizon, Safety, safety};
use rotakey_core::rotation::{Command, Goal};
use rotakey_core::time::later;

use crate::case::Case;
use crate::making::{
    both, dies_after, dies_before, expect, expect_new, run_to, somebody_deletes, world, write,
};
use crate::scene::{Asked, Ends};
use crate::system::blows::Blow;
use crate::system::machine::{Operation, Trouble, enter};
use crate::system::{ROTATE, World, instant_policy, seconds, state};

pub fn cases() -> Vec<Case> {
    let mut cases = keystores();
    cases.push(a_cut_that_was_not_synced());
    cases.extend(undone_to_nothing());
    cases.extend(ledgers());
    cases
}

/// The number of an operation of the command that comes next.
fn number(world: &World, wanted: Operation) -> usize {
    let mut rehearsal = world.clone();
    rehearsal.step(0, None);
    let operations = &rehearsal.installs[0].machine.operations;
    operations.iter().position(|operation| *operation == wanted).expect("it is done")
}

fn keystores() -> Vec<Case> {
    let mut kept = world();
    kept.start(0, ROTATE, None);
    for _ in 0..3 {
        run_to(&mut kept, |command| matches!(command, Command::Store(_)));
        let put = number(&kept, Operation::KeystorePut);
        kept.step(0, Some(Blow::Trouble(put, Trouble::FailsDone)));
    }
    let newer = both(&mut kept).1;
    let mut asked = kept.clone();
    asked.installs[0].process = None;
    let what = "The keystore kept the secret although it said three times that it failed; then the process was \
                killed. Taken for an orphan, the key went and its secret stayed.";
    let adopted = || expect(Ends::Finished, &newer);
    let killed = Case::of("keystore-kept-it-killed", what, &asked, Asked::Resume, adopted());
    let mut taken = asked.clone();
    let created = taken.iam.keys().last().expect("made").created;
    write(&mut taken, Record::OrphanFound { access_key_id: newer.clone(), created });
    let what = "The same, after an engine that did not look took the key for an orphan. The secret stays behind.";
    let mut come = expect_new();
    come.left_behind.insert(newer.clone());
    let orphan = Case::of("keystore-kept-it-orphan", what, &taken, Asked::Resume, come);
    run_to(&mut kept, |command| matches!(command, Command::Tag { .. }));
    kept.installs[0].process = None;
    let what = "The keystore kept the secret although it said three times that it failed, which was noticed.";
    let noticed = Case::of("keystore-kept-it-noticed", what, &kept, Asked::Resume, adopted());

    let mut probing = world();
    probing.start(0, ROTATE, None);
    run_to(&mut probing, |command| *command == Command::ProbeKeystore);
    let put = number(&probing, Operation::KeystorePut);
    probing.step(0, Some(Blow::Trouble(put, Trouble::DiesAfter)));
    let what =
        "The process was killed while it tried the keystore: the item of the trial is left behind.";
    let probe = Case::of("probe-left-behind", what, &probing, Asked::Rotate, expect_new());
    vec![killed, noticed, orphan, probe]
}

fn a_cut_that_was_not_synced() -> Case {
    let mut world = world();
    world.start(0, ROTATE, None);
    run_to(
        &mut world,
        |command| matches!(command, Command::Append(entry) if crate::label(&entry.record) == "intended-create"),
    );
    let sync = number(&world, Operation::Sync);
    world.step(0, Some(Blow::Trouble(sync, Trouble::FailsDone)));
    world.installs[0].process = None;
    let what = "A line's sync failed, and the line was cut off, without a sync: a power cut brings it back. The next \
                process must make the cut durable before it acts.";
    Case::of("cut-not-synced", what, &world, Asked::Resume, expect_new())
}

/// An undo whose previous key somebody deletes meanwhile was stuck for good.
fn undone_to_nothing() -> Vec<Case> {
    let mut published = world();
    let first = published.ledger(0).access_key_id;
    dies_after(&mut published, ROTATE, "done-publish");
    let newer = published.ledger(0).access_key_id;
    dies_after(&mut published, Goal::Undo, "undo-begun");
    let mut before = published.clone();
    somebody_deletes(&mut before, &first);
    let come = || expect(Ends::Finished, &newer);
    let what =
        "Somebody deleted the previous key when an undo had begun, before it was served again.";
    let mut cases =
        vec![Case::of("undo-key-deleted-before-publish", what, &before, Asked::Resume, come())];
    let gone = format!("the previous key {first} is gone");
    write(&mut before, Record::Stuck { why: gone });
    let what = "The same, after an engine that knew no way out wrote that it is stuck.";
    cases.push(Case::of(
        "undo-key-deleted-before-publish-stuck",
        what,
        &before,
        Asked::Resume,
        come(),
    ));
    let mut after = published;
    dies_after(&mut after, Goal::Resume, "done-publish");
    somebody_deletes(&mut after, &first);
    let what = "Somebody deleted the previous key after an undo had made it the served one.";
    cases.push(Case::of("undo-key-deleted-after-publish", what, &after, Asked::Resume, come()));
    let gone = format!("the served key {first} is not in the user's list");
    write(&mut after, Record::Stuck { why: gone });
    let what = "The same, after an engine that knew no way out wrote that it is stuck.";
    cases.push(Case::of(
        "undo-key-deleted-after-publish-stuck",
        what,
        &after,
        Asked::Resume,
        come(),
    ));
    cases
}

/// A key that only programs of ours hold: nothing but their leases keeps it.
fn leased() -> World {
    World::new(instant_policy(), Behaviour::default(), Origin::Created, &["here"])
}

fn change_horizon(world: &mut World, id: &AccessKeyId, change: impl FnOnce(&mut Horizon)) {
    let now = world.now.clone();
    enter(&mut world.installs[0].machine, &now, || {
        let changed = state().update_ledger(|slot| {
            slot.as_mut().and_then(|ledger| ledger.horizons.get_mut(id)).map(change)
        });
        changed.expect("room").expect("a horizon");
    });
}

/// Ledgers whose horizon on the monotonic clock is missing, of another boot, or too early.
fn ledgers() -> Vec<Case> {
    let mut cases = Vec::new();
    let asleep = |world: &mut World, name: &str, what: &str| {
        dies_before(world, ROTATE, "intended-publish");
        let newer = both(world).1;
        let what = format!("{what} The machine is suspended for half a day after the publish.");
        let come = expect(Ends::Finished, &newer);
        let mut case = Case::of(name, &what, world, Asked::Resume, come);
        case.scene.sleeps_seconds = 12 * 3600;
        case
    };
    let mut full = leased();
    full.installs[0].machine.is_full = true;
    full.fetch(0).expect("serving goes on");
    full.installs[0].machine.is_full = false;
    let what = "A program was given the key while the disk was full: the ledger has no horizon.";
    cases.push(asleep(&mut full, "horizon-missing", what));
    let mut rebooted = leased();
    rebooted.fetch(0).expect("served");
    rebooted.now.wall = later(rebooted.now.wall, seconds(60));
    (rebooted.now.monotonic.boot, rebooted.now.monotonic.since_boot) =
        ("2".to_owned(), seconds(20));
    rebooted.fetch(0).expect("served");
    let what = "The horizon is of the boot before; it covered what was given in this one, by the wall clock.";
    cases.push(asleep(&mut rebooted, "horizon-of-another-boot", what));
    let mut set_back = leased();
    set_back.fetch(0).expect("served");
    set_back.now.wall = later(set_back.now.wall, seconds(0)) - seconds(36_000);
    set_back.now.monotonic.since_boot += seconds(6 * 3600);
    set_back.fetch(0).expect("served");
    let what = "The clock was set back, so that the old horizon covered what was given much later.";
    cases.push(asleep(&mut set_back, "horizon-too-early", what));

    // What the cutover left out before it bounded the monotonic clock as well: then the wall clock decides alone.
    let mut drained = leased();
    let first = drained.ledger(0).access_key_id;
    drained.fetch(0).expect("served");
    dies_after(&mut drained, ROTATE, "done-publish");
    let newer = drained.ledger(0).access_key_id;
    let ledger = drained.ledger(0);
    let safe = safety(ledger.horizons.get(&first), ledger.published, &drained.policy, &drained.now);
    let Safety::NotBefore(safe) = safe else { unreachable!("just published") };
    let mut come = expect(Ends::Finished, &newer);
    come.active_until = Some(safe);
    let mut without = drained.clone();
    change_horizon(&mut without, &first, |horizon| horizon.monotonic = None);
    let what = "A superseded key whose horizon on the monotonic clock was not written.";
    cases.push(Case::of(
        "superseded-without-monotonic",
        what,
        &without,
        Asked::Resume,
        come.clone(),
    ));
    let mut other = drained.clone();
    other.now.monotonic.boot = "2".to_owned();
    other.now.monotonic.since_boot = seconds(20);
    let what = "A superseded key whose horizon is of the boot before.";
    cases.push(Case::of("superseded-in-another-boot", what, &other, Asked::Resume, come.clone()));
    change_horizon(&mut drained, &first, |horizon| {
        horizon.monotonic.as_mut().expect("served").since_boot = seconds(9);
    });
    let what = "A superseded key whose horizon on the monotonic clock does not reach the cutover.";
    cases.push(Case::of("superseded-with-early-monotonic", what, &drained, Asked::Resume, come));
    cases
}
