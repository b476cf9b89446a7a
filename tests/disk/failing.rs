//! Every single sync and every single write of a rotation fails once. The disk is a good one; a library that is
//! preloaded (failing_disk.c) answers in its place.

use std::process::Command;
use std::sync::Mutex;

use super::stage::{
    assert_announced, assert_converges, assert_served, assert_told, assert_whole, brisk,
    side_by_side,
};
use super::support::{Run, World};

/// The library, compiled, and the folder it is in.
struct FailingDisk(tempfile::TempDir);

impl FailingDisk {
    fn compiled() -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/disk/failing_disk.c");
        let folder = tempfile::tempdir().unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]);
        let status = cc.arg(folder.path().join("failing_disk.so")).arg(source).status();
        assert!(status.expect("cc: `make deps` installs it").success());
        Self(folder)
    }

    /// Runs rotakey with it; says how many calls were counted, and on which file the first failed.
    fn run(&self, world: &World, args: &[&str], failing: &[(&str, u64)]) -> (Run, u64, String) {
        let count = self.0.path().join(world.home.path().file_name().unwrap());
        let mut command = world.command();
        command.args(args).env("LD_PRELOAD", self.0.path().join("failing_disk.so"));
        command.env("FAILING_COUNT", &count);
        for (name, value) in failing {
            command.env(name, value.to_string());
        }
        let run = command.output().unwrap().into();
        let told = std::fs::read_to_string(count).unwrap();
        let (calls, file) = told.split_once(' ').unwrap();
        (run, calls.parse().unwrap(), file.to_owned())
    }
}

const ROTATE: [&str; 3] = ["rotate", "--wait", "deleted"];

/// The ways to fail: in the first what was written is cut off again, in the second it stays.
const WAYS: [&[(&str, u64)]; 3] =
    [&[("FAILING_SYNC", 0)], &[("FAILING_SYNC", 0), ("FAILING_CUT", 1)], &[("FAILING_WRITE", 0)]];

/// A way, with the n-th call to fail.
fn nth(way: &[(&'static str, u64)], n: u64) -> Vec<(&'static str, u64)> {
    let mut failing = way.to_vec();
    failing[0].1 = n;
    failing
}

#[test]
fn each_sync_and_each_write_of_a_rotation_fails() {
    let disk = FailingDisk::compiled();
    let mut cases = Vec::new();
    for way in WAYS {
        let world = brisk();
        let (run, calls, _) = disk.run(&world, &ROTATE, &nth(way, u64::MAX >> 1));
        assert_eq!(run.code, 0, "{way:?} untouched: {run:?}");
        assert!(calls > 20, "{way:?}: {calls} calls");
        cases.extend((1..=calls).map(|n| nth(way, n)));
    }
    // Those around the creation take longest: a lost reply is waited for. Each way's are begun early.
    cases.sort_by_key(|failing| failing[0].1);
    println!("{} calls fail", cases.len());
    let outlasted = Mutex::new(Vec::new());
    side_by_side(cases, |failing| {
        let case = format!("{failing:?}");
        let world = brisk();
        let (run, calls, file) = disk.run(&world, &ROTATE, &failing);
        assert!(calls >= failing[0].1, "{case}: {calls} calls: {run:?}");
        assert_served(&world, &case);
        assert_announced(&world, &case);
        if run.code == 0 {
            outlasted.lock().unwrap().push(format!("{case}: {file}"));
            assert_whole(&world, &case);
        } else {
            assert_told(&world, &run, &[1, 5], &case);
        }
        assert_converges(&world, &case);
    });
    // What tells people and auditors may fail: no rotation waits for it.
    let is_beside = |case: &String| BESIDE.iter().any(|name| case.contains(name));
    let (beside, engine): (Vec<_>, Vec<_>) =
        outlasted.into_inner().unwrap().into_iter().partition(is_beside);
    assert!(!beside.is_empty(), "these were not among what failed");
    // The secret of a key that was just created is stored a second time.
    assert!(engine.len() <= 4, "a fault that is passed over anywhere else: {engine:#?}");
}

/// Files that the rotation does not go by.
const BESIDE: [&str; 5] = ["audit.", "receipts", "noted.json", "news.jsonl", "told"];

#[test]
fn programs_are_served_when_the_lease_cannot_be_recorded() {
    let disk = FailingDisk::compiled();
    side_by_side(WAYS.iter().flat_map(|way| (1..4).map(|n| nth(way, n))), |failing| {
        let world = brisk();
        let (run, calls, _) = disk.run(&world, &["credential-process"], &failing);
        assert!(calls > 0, "{failing:?}: nothing was recorded");
        assert_eq!(run.code, 0, "{failing:?}: {run:?}");
        assert!(run.stdout.contains(&world.id) && run.stderr.is_empty(), "{failing:?}: {run:?}");
        assert_converges(&world, "afterwards");
    });
}
