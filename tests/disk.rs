//! The real binary on disks that fill up, become read-only, fail to sync, or give back less than was written,
//! at each step of a rotation. It ends, says which file, serves all the while, and goes on when the disk is
//! mended.
//!
//! A disk that is bad before anything is begun is in `tests/bad_input.rs`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "disk/failing.rs"]
mod failing;
#[path = "disk/stage.rs"]
mod stage;
mod support;
#[path = "disk/torn.rs"]
mod torn;

use std::sync::atomic::{AtomicU64, Ordering};

use stage::{
    WHOLE, add_brisk, assert_announced, assert_converges, assert_served, assert_told, assert_whole,
    goes_on, killed, side_by_side, stopped_at,
};
use support::World;
use support::volume::Volume;

/// A world on a small disk of its own.
fn on_a_small_disk() -> (World, Volume) {
    let world = World::new();
    let volume = Volume::over(&world);
    add_brisk(&world);
    (world, volume)
}

#[test]
fn a_disk_that_fills_up_at_each_step() {
    let stopped = AtomicU64::new(0);
    side_by_side(2..WHOLE, |lines| {
        let case = format!("full at line {lines}");
        let (world, volume) = on_a_small_disk();
        let child = stopped_at(&world, lines);
        volume.fill();
        assert_served(&world, &case);
        let run = goes_on(child);
        assert_served(&world, &case);
        assert_announced(&world, &case);
        // A journal that ends within a page of the disk has room for some lines yet.
        if run.code != 0 {
            stopped.fetch_add(1, Ordering::SeqCst);
            assert_told(&world, &run, &[1, 5], &case);
        }
        volume.make_room();
        assert_converges(&world, &case);
    });
    assert!(stopped.into_inner() >= 6, "a full disk stops a rotation");
}

#[test]
fn a_disk_that_becomes_read_only_at_each_step() {
    side_by_side(2..WHOLE, |lines| {
        let case = format!("read-only at line {lines}");
        let (world, volume) = on_a_small_disk();
        killed(stopped_at(&world, lines));
        let keys = world.keys();
        volume.remount("ro");
        assert_served(&world, &case);
        let begun = if world.step().is_some() { "resume" } else { "rotate" };
        for args in [&[begun, "--wait", "deleted"][..], &["undo"], &["abort"]] {
            let run = world.rotakey(args);
            // What does not apply is refused without a look at the disk.
            if run.code != 2 || args.len() > 1 {
                assert_told(&world, &run, &[1, 5], &format!("{case}: {args:?}"));
            }
        }
        assert_eq!(world.keys(), keys, "{case}");
        volume.remount("rw");
        assert_converges(&world, &case);
    });
}

#[test]
fn a_disk_that_is_full_again_and_again() {
    let (world, volume) = on_a_small_disk();
    // What is left of the room grows, until a whole rotation fits into it.
    for room in 0.. {
        volume.fill_but(room * 4096);
        let run = world.rotakey(&["rotate", "--wait", "deleted"]);
        let case = format!("{} bytes are left", room * 4096);
        assert_served(&world, &case);
        assert_announced(&world, &case);
        volume.make_room();
        if run.code == 0 {
            break;
        }
        assert_told(&world, &run, &[1, 5], &case);
    }
    assert_whole(&world, "with room enough");
}
