//! A disk of its own. What happens to a rotation under way is in tests/disk.rs.

use super::scene::{Scene, add, assert_nothing_added, assert_told};
use super::support::World;
use super::support::volume::Volume;

#[test]
fn a_full_disk() {
    let world = World::new();
    let disk = Volume::over(&world);
    disk.fill();
    let before = Scene::of(&world);
    let run = add(&world, &world.id, &world.secret, &["--endpoint-url", &world.url]);
    assert!([1, 2, 5].contains(&run.code), "{run:?}");
    assert_told(&run, run.code, &[]);
    before.assert_unchanged(&world, &run);
    assert_nothing_added(&world);
    disk.make_room();
    world.add();

    // Before the first rotation and after it: what it has to write differs.
    for _ in 0..2 {
        let served = world.served_id();
        disk.fill();
        let before = Scene::of(&world);
        let run = world.rotakey(&["rotate", "--wait", "deleted"]);
        assert!([1, 5].contains(&run.code), "{run:?}");
        assert_told(&run, run.code, &[world.home.path().to_str().unwrap()]);
        assert_eq!(before.keys, world.keys(), "{run:?}");
        assert_eq!(before.journal, Scene::of(&world).journal, "{run:?}");
        assert_eq!(world.served_id(), served, "programs are served from a full disk");
        disk.make_room();
        world.expect(0, &["rotate", "--wait", "deleted"]);
        world.assert_rotated();
        assert_ne!(world.served_id(), served);
    }
}

#[test]
fn a_read_only_disk() {
    let world = World::new();
    let disk = Volume::over(&world);
    disk.remount("ro");
    let before = Scene::of(&world);
    let run = add(&world, &world.id, &world.secret, &["--endpoint-url", &world.url]);
    assert!([1, 2, 5].contains(&run.code), "{run:?}");
    assert_told(&run, run.code, &[]);
    before.assert_unchanged(&world, &run);
    disk.remount("rw");
    world.add();
    disk.remount("ro");
    let run = world.rotakey(&["rotate"]);
    assert_told(&run, 1, &[world.home.path().to_str().unwrap()]);
    assert_eq!(world.keys(), [(world.id.clone(), "Active".to_owned())]);
    assert_eq!(world.served_id(), world.id, "programs are served from a read-only disk");
    disk.remount("rw");
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}
