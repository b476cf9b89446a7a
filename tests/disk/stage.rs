//! A rotation stopped at a chosen record, and what is asked of whatever happens to it there.

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{Run, World, stored_ids};

/// A rotation mostly waits.
const WORKERS: u32 = 24;

/// The lines of a journal after a whole rotation of a profile just added.
pub(crate) const WHOLE: u64 = 15;

/// A world with the profile added.
pub(crate) fn brisk() -> World {
    let world = World::new();
    add_brisk(&world);
    world
}

/// Adds the profile, with everything as quick as it can be: each case is a whole rotation.
pub(crate) fn add_brisk(world: &World) {
    world.lighten_keys();
    world.add();
    let profile = world.quick_profile("").replace("soak = \"1s\"", "soak = \"100ms\"");
    world.configure(
        &profile.replace("successes = 2, spacing = \"100ms\"", "successes = 1, spacing = \"10ms\""),
    );
}

/// Runs the cases, many at a time.
pub(crate) fn side_by_side<T>(
    cases: impl IntoIterator<Item = T, IntoIter: Send>,
    case: impl Fn(T) + Sync,
) {
    let cases = Mutex::new(cases.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().unwrap().next();
                    let Some(next) = next else { return };
                    case(next);
                }
            });
        }
    });
}

/// Begins a rotation, and stops its process where it stands once the journal has so many lines. It may be a
/// record or two further by then, or have ended.
pub(crate) fn stopped_at(world: &World, lines: u64) -> Child {
    let mut child = world.spawn(&["rotate", "--wait", "deleted"]);
    let limit = Instant::now() + Duration::from_secs(60);
    while journal(world).lines().count() < lines as usize && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < limit, "no line {lines}");
        std::thread::sleep(Duration::from_micros(200));
    }
    signal(&mut child, Signal::STOP);
    child
}

/// Lets it go on until it ends.
pub(crate) fn goes_on(mut child: Child) -> Run {
    signal(&mut child, Signal::CONT);
    child.wait_with_output().unwrap().into()
}

pub(crate) fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// To a child that did not end yet: its id is still its own.
fn signal(child: &mut Child, signal: Signal) {
    if child.try_wait().unwrap().is_none() {
        kill_process(Pid::from_child(child), signal).unwrap();
    }
}

/// The journal, up to its last whole line.
pub(crate) fn journal(world: &World) -> String {
    let bytes = std::fs::read(world.state().join("journal")).unwrap_or_default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    String::from_utf8(bytes[..whole].to_vec()).unwrap()
}

/// It says what is wrong with which file, and what to do; programs are served all the while.
pub(crate) fn assert_told(world: &World, run: &Run, codes: &[i32], case: &str) {
    assert!(codes.contains(&run.code), "{case}: {run:?}");
    assert!(run.stderr.contains(world.home.path().to_str().unwrap()), "{case}: no file: {run:?}");
    let hint = run.stderr.lines().rev().find(|line| !line.trim().is_empty());
    assert!(hint.is_some_and(|line| line.starts_with("hint: ")), "{case}: no hint: {run:?}");
    assert!(!run.stderr.contains("panicked"), "{case}: {run:?}");
}

/// What is served is accepted.
pub(crate) fn assert_served(world: &World, case: &str) {
    let served = world.served_id();
    assert!(world.accepts(&served), "{case}: {served} of {:?} is served", world.keys());
}

/// No key was changed without a record that announced it.
pub(crate) fn assert_announced(world: &World, case: &str) {
    let mut acts = BTreeMap::<&str, usize>::new();
    let simulator = world.simulator.lock().unwrap();
    for event in simulator.log().filter(|event| event.outcome == "Done") {
        match event.action.as_str() {
            "CreateAccessKey" => *acts.entry("create").or_default() += 1,
            "DeleteAccessKey" => *acts.entry("delete").or_default() += 1,
            "UpdateAccessKey" => *acts.entry("deactivate").or_default() += 1,
            _ => {}
        }
    }
    drop(simulator);
    let journal = journal(world);
    for (act, count) in acts {
        let intents = journal.lines().filter(|line| {
            line.contains("\"kind\":\"intended\"") && line.contains(&format!("\"act\":\"{act}\""))
        });
        assert!(intents.count() >= count, "{case}: {count} {act} were done:\n{journal}");
    }
}

/// A rotation left behind is finished; one that was not begun is begun. One key is left, and one secret.
pub(crate) fn assert_converges(world: &World, case: &str) {
    if world.step().is_some() {
        let run = world.rotakey(&["resume", "--wait", "deleted"]);
        assert_eq!(run.code, 0, "{case}: {run:?}\n{}", world.rotakey(&["history"]).stdout);
    }
    if world.served_id() == world.id {
        let run = world.rotakey(&["rotate", "--wait", "deleted"]);
        assert_eq!(run.code, 0, "{case}: {run:?}");
    }
    assert_whole(world, case);
}

/// Nothing is under way, and nothing is left over.
pub(crate) fn assert_whole(world: &World, case: &str) {
    let served = world.served_id();
    assert_eq!(world.keys(), [(served.clone(), "Active".to_owned())], "{case}");
    assert_eq!(stored_ids(world), [served], "{case}");
    assert_eq!(world.step(), None, "{case}");
}
