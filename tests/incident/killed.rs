//! SIGKILL at any record of the journal: whoever goes on, goes on as compromised.

use std::time::{Duration, Instant};

use super::support::World;
use super::world;

fn lines(world: &World) -> usize {
    let journal = std::fs::read(world.state().join("journal")).unwrap_or_default();
    journal.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn killed_at_any_record_it_goes_on_as_compromised() {
    let mut killed = 0;
    for record in 1.. {
        let world = world();
        let before = lines(&world);
        let mut child = world.spawn(&["rotate", "--compromised", "--no-revoke-sessions"]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while lines(&world) < before + record && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it hangs");
            std::thread::sleep(Duration::from_millis(1));
        }
        let is_over = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        if is_over {
            break;
        }
        killed += 1;
        // Programs are served, whatever happened.
        assert!(world.accepts(&world.served_id()) || world.served_id() == world.id);
        let run = world.expect(0, &["resume", "--wait", "deactivated"]);
        if world.step().is_none() {
            // It had not begun.
            assert!(run.stderr.contains("nothing to resume"), "{run:?}");
            continue;
        }
        assert!(!world.accepts(&world.id), "after {record} records: {run:?}");
        assert_ne!(world.served_id(), world.id);
        let undo = world.expect(3, &["undo"]);
        assert!(undo.stderr.contains("--force"), "{undo:?}");
        world.configure(&world.quick_profile(""));
        world.expect(0, &["resume", "--wait", "deleted"]);
        world.assert_rotated();
    }
    println!("killed after {killed} records");
    assert!(killed >= 6, "{killed}");
}
