//! Rotations of a user whose policy denies IAM to whoever did not sign with MFA.

use jiff::Timestamp;
use rotakey_agent::totp;
use serde_json::json;

use super::support::{Run, World, stored_ids};

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A world with an MFA device, and the profile's line that names it.
fn guarded() -> (World, String) {
    let world = World::added();
    let device = world.control(json!({"op": "mfa-device", "user": "app", "seed": SEED}));
    world.control(json!({"op": "require-mfa", "user": "app"}));
    let line = format!("mfa_serial = \"{}\"\n", device["serial"].as_str().unwrap());
    world.configure(&world.quick_profile(&line));
    (world, line)
}

fn code_in(steps: i64) -> String {
    let at = Timestamp::from_second(Timestamp::now().as_second() + 30 * steps).unwrap();
    totp::code(SEED, at).unwrap()
}

/// An `mfa_process` that has `codes` codes. Each is one that the simulator takes next, and takes for half a minute
/// at least: the present one first, then the one that comes.
fn with_process(world: &World, line: &str, codes: usize) {
    let list: String = (0..codes).map(|n| format!("{}\n", code_in(n as i64))).collect();
    world.write("codes", &list);
    let codes = world.home.path().join("codes");
    let codes = codes.display();
    // Prints the first line, and takes it away.
    let command = format!("test -s {codes} && head -n1 {codes} && sed -i 1d {codes}");
    world.configure(&world.quick_profile(&format!("{line}mfa_process = '{command}'\n")));
}

/// None of it was printed.
fn assert_silent(run: &Run, secrets: &[&str]) {
    for secret in secrets {
        let all = format!("{}{}", run.stdout, run.stderr);
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[test]
fn without_a_code_the_rotation_waits_for_a_person_and_nothing_is_lost() {
    let (world, line) = guarded();
    for args in [&["rotate"][..], &["rotate", "--dry-run"], &["keys"]] {
        let run = world.expect(3, args);
        assert!(
            run.stderr.contains("mfa/app") && run.stderr.contains("rotakey mfa app"),
            "{run:?}"
        );
    }
    assert_eq!(world.keys(), [(world.id.clone(), "Active".to_owned())]);
    assert_eq!((world.served_id(), world.step()), (world.id.clone(), None));

    // One code is enough until the new key is served: from there on that key signs, with a session of its own.
    with_process(&world, &line, 1);
    let run = world.expect(3, &["rotate", "--wait", "deleted"]);
    assert!(run.stderr.contains("MFA code"), "{run:?}");
    let newer = world.served_id();
    assert_ne!(newer, world.id);
    let active = |id: &String| (id.clone(), "Active".to_owned());
    let keys = world.keys();
    assert!(keys.len() == 2 && keys.contains(&active(&world.id)) && keys.contains(&active(&newer)));
    assert_eq!(world.step().as_deref(), Some("drain"));

    // The first code's session is gone with its process; the device's next codes end the rotation.
    world.write("codes", &format!("{}\n{}\n", code_in(1), code_in(2)));
    world.expect(0, &["resume", "--wait", "deleted"]);
    world.assert_rotated();
}

#[test]
fn a_command_gives_the_codes_of_a_whole_rotation() {
    let (world, line) = guarded();
    with_process(&world, &line, 2);
    let codes = [code_in(0), code_in(1)];
    let run = world.expect(0, &["rotate", "--wait", "deleted", "-vvv"]);
    world.assert_rotated();
    for code in &codes {
        // Times and sizes have six digits as well.
        for (at, _) in run.stderr.match_indices(code.as_str()) {
            let (before, after) = (&run.stderr[..at], &run.stderr[at + code.len()..]);
            let of_a_number = |c: char| c.is_ascii_digit() || c == '.';
            let is_other = before.ends_with(of_a_number) || after.starts_with(of_a_number);
            assert!(is_other, "{code} in {}", &run.stderr[at.saturating_sub(200)..at + 6]);
        }
    }
    assert_silent(&run, &["sed -i"]);
}

#[test]
fn a_seed_in_the_keystore_does_without_a_person() {
    let (world, _) = guarded();
    let run = world.rotakey_with_stdin(&["mfa", "--totp-seed-stdin"], &format!("{SEED}\n"));
    assert_eq!(run.code, 0, "{run:?}");
    let ids = || std::fs::read_to_string(world.home.path().join("state/keys")).unwrap();
    assert!(ids().contains("rotakey-totp-"));
    let run = world.expect(0, &["rotate", "--wait", "deleted", "-vvv"]);
    world.assert_rotated();
    assert_silent(&run, &[SEED]);
    // With the profile goes its device.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    world.expect(0, &["remove", "--yes"]);
    assert!(!ids().contains("rotakey-totp-") && stored_ids(&world).is_empty());
}

#[test]
fn a_seed_is_kept_only_if_aws_takes_its_codes() {
    let (world, line) = guarded();
    let keep = |seed: &str| world.rotakey_with_stdin(&["mfa", "--totp-seed-stdin"], seed);
    let kept = || std::fs::read_to_string(world.home.path().join("state/keys")).unwrap();
    let run = keep("not a seed!");
    assert!(run.code == 2 && !run.stderr.contains("not a seed!"), "{run:?}");
    let wrong = "MFRGGZDFMZTWQ2LK";
    let run = keep(wrong);
    assert!(run.code == 4 && run.stderr.contains("mfa_serial"), "{run:?}");
    assert_silent(&run, &[wrong]);
    assert!(!kept().contains("rotakey-totp-"));
    let run = keep(SEED);
    assert_eq!(run.code, 0, "{run:?}");
    // It is never overwritten, only forgotten.
    let run = keep(wrong);
    assert!(run.code == 2 && run.stderr.contains("--forget"), "{run:?}");
    world.expect(0, &["mfa", "--forget"]);
    assert!(!kept().contains("rotakey-totp-"));
    with_process(&world, &line, 0);
    assert!(keep(SEED).stderr.contains("mfa_process"));
}

#[test]
fn a_code_of_a_person_is_tried_and_there_is_nobody_to_keep_the_session() {
    let (world, _) = guarded();
    let give = |code: &str| world.rotakey_with_stdin(&["mfa", "--code-stdin"], code);
    for bad in ["", "12345", "abcdef"] {
        let run = give(bad);
        assert!(run.code == 2 && run.stderr.contains("six digits"), "{run:?}");
    }
    let run = give(&format!("{}\n", code_in(0)));
    assert!(run.code == 5 && run.stderr.contains("agent"), "{run:?}");
    let run = give(&code_in(-10));
    assert!(run.code == 4 && run.stderr.contains("each code works once"), "{run:?}");
    world.configure(&world.quick_profile(""));
    let run = give(&code_in(1));
    assert!(run.code == 2 && run.stderr.contains("mfa_serial"), "{run:?}");
}

#[test]
fn a_session_with_mfa_is_served_and_a_second_one_needs_the_next_code() {
    let (world, line) = guarded();
    let serve = "serve = \"session\"\n";
    with_process(&world, &format!("{line}{serve}"), 1);
    let answer = super::served(&world, "app");
    assert_eq!(super::arn(&world, &answer), "arn:aws:iam::123456789012:user/app");
    let run = world.expect(3, &["credential-process"]);
    assert!(run.stdout.is_empty() && run.stderr.contains("mfa_process of app"), "{run:?}");
}
