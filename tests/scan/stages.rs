//! What a rotation makes of the copies of a key.

use jiff::Timestamp;

use super::{SECRET, plant, scan, world};

#[test]
fn the_old_keys_copies_come_first_and_say_when_they_break() {
    let world = world();
    world.configure(&world.quick_profile("").replace("soak = \"1s\"", "soak = \"60s\""));
    let home = tempfile::tempdir().unwrap();
    plant(&home.path().join(".env"), format!("ID={}\nSECRET={SECRET}\n", world.id));
    let (copies, ..) = scan(&world, home.path(), &[]);
    assert_eq!((&copies[0]["stage"], copies[0]["breaks_at"].as_str()), (&"current".into(), None));
    assert!(copies[0]["fate"].as_str().unwrap().contains("next rotation, due "), "{copies:?}");

    let before = Timestamp::now();
    world.expect(0, &["rotate"]);
    let new = world.served_id();
    plant(&home.path().join(".aws/credentials"), &new);
    let (copies, ..) = scan(&world, home.path(), &[]);
    let ids: Vec<_> = copies.iter().map(|copy| copy["access_key_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&world.id, &new], "the old key's copy first");
    assert_eq!((&copies[0]["stage"], &copies[1]["stage"]), (&"previous".into(), &"current".into()));
    let breaks: Timestamp = copies[0]["breaks_at"].as_str().unwrap().parse().unwrap();
    // Times in data are whole seconds.
    assert!(breaks.as_second() >= before.as_second(), "{copies:?}");
    assert!(copies[0]["fate"].as_str().unwrap().contains("will break at "), "{copies:?}");

    world.expect(0, &["resume", "--wait", "deactivated"]);
    let (copies, ..) = scan(&world, home.path(), &[]);
    let fate = copies[0]["fate"].as_str().unwrap();
    assert!(fate.contains("broke at ") && fate.contains("rotakey undo app"), "{copies:?}");

    world.configure(&world.quick_profile(""));
    world.expect(0, &["resume", "--wait", "deleted"]);
    let (copies, ..) = scan(&world, home.path(), &[]);
    assert_eq!(
        (&copies[1]["stage"], &copies[1]["access_key_id"]),
        (&"retired".into(), &world.id.as_str().into())
    );
    // Only one profile's keys, if it is named.
    world.configure(&format!("{}[profile.other]\n", world.quick_profile("")));
    let run = world.expect(2, &["scan", "--profile", "other"]);
    assert!(run.stderr.contains("no key id"), "{run:?}");
}
