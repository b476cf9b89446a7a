//! State files that lost bytes, in the middle of a rotation.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rotakey_agent::simulator::Simulator;

use super::stage::{
    WHOLE, assert_converges, assert_served, assert_told, brisk, journal, killed, side_by_side,
    stopped_at,
};
use super::support::World;

/// A world as it was when its rotation was killed, to begin from again and again.
struct Saved {
    simulator: Simulator,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Saved {
    fn of(world: &World) -> Self {
        let state = world.home.path().join("state");
        let mut files = Vec::new();
        for folder in [state.clone(), world.state()] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    files.push((path.clone(), std::fs::read(path).unwrap()));
                }
            }
        }
        Self { simulator: world.simulator.lock().unwrap().clone(), files }
    }

    fn restore(&self, world: &World) {
        world.simulator.lock().unwrap().clone_from(&self.simulator);
        for (path, bytes) in &self.files {
            // What was half written when it was killed is among them, is gone by now, and was private.
            let mut file = OpenOptions::new();
            let file = file.write(true).create(true).truncate(true).mode(0o600).open(path);
            file.unwrap().write_all(bytes).unwrap();
        }
    }
}

/// A rotation killed at this line.
fn killed_at(lines: u64) -> (World, Saved) {
    let world = brisk();
    killed(stopped_at(&world, lines));
    let saved = Saved::of(&world);
    (world, saved)
}

/// Whatever stands in the files: it converges, or changes nothing and says why.
fn assert_safe(world: &World, case: &str) {
    let keys = world.keys();
    let run = world.rotakey(&["resume", "--wait", "deleted"]);
    assert_served(world, case);
    if run.code == 0 {
        // A rotation whose beginning was lost is begun again. If its key was made, that is a stranger now.
        if world.step().is_none() && world.keys().len() == 2 {
            let run = world.rotakey(&["rotate"]);
            assert!(run.code == 3 && run.stderr.contains("did not make"), "{case}: {run:?}");
        } else {
            return assert_converges(world, case);
        }
    } else {
        assert!([1, 2, 3, 5].contains(&run.code), "{case}: {run:?}");
        assert!(run.stderr.contains("\nhint: "), "{case}: {run:?}");
    }
    assert_eq!(world.keys(), keys, "{case}");
}

#[test]
fn a_last_line_cut_at_every_byte_is_not_seen() {
    // The intents to create, publish, deactivate and delete are among these.
    side_by_side((4..WHOLE).step_by(2), |lines| {
        let (world, _) = killed_at(lines);
        let path = world.state().join("journal");
        let whole = journal(&world);
        let start = whole[..whole.len() - 1].rfind('\n').unwrap() + 1;
        std::fs::write(&path, &whole[..start]).unwrap();
        let without = world.expect(0, &["history", "--json"]).stdout;
        for cut in start + 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let run = world.expect(0, &["history", "--json"]);
            assert_eq!(run.stdout, without, "line {lines} cut at {}", cut - start);
        }
    });
}

#[test]
fn a_journal_that_lost_its_last_lines() {
    side_by_side(3..WHOLE, |lines| {
        let (world, saved) = killed_at(lines);
        let path = world.state().join("journal");
        let whole = journal(&world);
        let ends: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at + 1).collect();
        // Half a line, the whole line, and one and a half.
        let [.., third, second, last] = ends[..] else { panic!("{whole}") };
        for cut in [usize::midpoint(second, last), second, usize::midpoint(third, second)] {
            let case = format!("line {lines}, cut at {cut} of {last}");
            saved.restore(&world);
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_safe(&world, &case);
        }
    });
}

#[test]
fn a_line_in_the_middle_that_lost_a_byte() {
    side_by_side((3..WHOLE).step_by(4), |lines| {
        let (world, saved) = killed_at(lines);
        let path = world.state().join("journal");
        let whole = journal(&world);
        let keys = world.keys();
        let last = whole[..whole.len() - 1].rfind('\n').unwrap();
        for at in (0..last).step_by(97) {
            let case = format!("line {lines}, byte {at}");
            saved.restore(&world);
            let damaged = [&whole.as_bytes()[..at], &whole.as_bytes()[at + 1..]].concat();
            std::fs::write(&path, &damaged).unwrap();
            for verb in ["resume", "undo"] {
                assert_told(&world, &world.rotakey(&[verb]), &[1], &case);
            }
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "{case}");
            assert_eq!(world.keys(), keys, "{case}");
            assert_served(&world, &case);
        }
        saved.restore(&world);
        assert_converges(&world, &format!("line {lines} restored"));
    });
}

#[test]
fn a_ledger_or_a_key_file_that_lost_bytes() {
    side_by_side((6..WHOLE).step_by(2), |lines| {
        let (world, saved) = killed_at(lines);
        let keys = world.keys();
        let begun = if world.step().is_some() { "resume" } else { "rotate" };
        for (name, code) in [("state/app/ledger.json", 1), ("state/keys", 5)] {
            let path = world.home.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            let torn: [&[u8]; 4] = [&whole[..whole.len() / 2], b"", b"\0\0\0\0\0\0\0\0", b"{}"];
            for bytes in torn {
                let case = format!("line {lines}, {name} of {} bytes", bytes.len());
                saved.restore(&world);
                std::fs::write(&path, bytes).unwrap();
                for args in [&[begun, "--wait", "deleted"][..], &["credential-process"]] {
                    assert_told(
                        &world,
                        &world.rotakey(args),
                        &[code],
                        &format!("{case}: {args:?}"),
                    );
                }
                assert_eq!(std::fs::read(&path).unwrap(), bytes, "{case}");
                assert_eq!(world.keys(), keys, "{case}");
            }
        }
        saved.restore(&world);
        assert_converges(&world, &format!("line {lines} restored"));
    });
}

#[test]
fn what_killed_writers_left_is_in_nobodys_way() {
    side_by_side((6..WHOLE).step_by(3), |lines| {
        let (world, _) = killed_at(lines);
        let left =
            ["state/app/ledger.json.new", "state/keys.tmp-0123456789abcdef", "state/install.new"];
        for name in left {
            world.write(name, "{\"version\": 1, \"gener");
        }
        assert_converges(&world, &format!("line {lines}"));
        for name in &left[..2] {
            assert!(!world.home.path().join(name).exists(), "{name} is still there");
        }
    });
}
