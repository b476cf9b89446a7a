//! The cases of a cutover that are about the way to a source: its token, proxies, the process. docs/clients.md says
//! where the others are.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::agent::{Agent, LEASE_SECONDS, world};
use super::driver::{Driver, Sdk};
use super::matrix::current;
use super::sources::{Place, Source};
use super::support::World;

/// Case H: SDKs read the token's file for each answer, so that it may change under them; a wrong one gets nothing.
#[test]
fn the_token_is_read_anew_for_each_answer() {
    let world = world();
    let agent = Agent::start(&world);
    let file = world.home.path().join("a copy of the token");
    let right = agent.place.token.clone();
    let wrong: String = right.chars().rev().collect();
    // The file goes first. The SDK for JavaScript tries the variable all the same when the file's was refused.
    let (token, token_file) = (wrong.clone(), file.clone());
    let place = Place { token, token_file, ..agent.place.clone() };
    std::fs::write(&file, &right).unwrap();
    let start = |sdk| (sdk, Driver::start(sdk, Source::Container, &place, &[]));
    let mut drivers = Sdk::ALL.map(start);
    for bad in [wrong.clone(), format!("{right}\n"), String::new()] {
        std::fs::write(&file, &right).unwrap();
        for (sdk, driver) in &mut drivers {
            assert!(driver.ask("sts").ok, "{sdk:?}: the right token is taken, by the same client");
        }
        std::fs::write(&file, &bad).unwrap();
        // What was given before ends first.
        std::thread::sleep(Duration::from_secs(LEASE_SECONDS + 1));
        drivers.iter_mut().for_each(|(_, driver)| driver.tell("sts"));
        for (sdk, driver) in &mut drivers {
            let answer = driver.answer();
            // A newline ends a header: what some SDKs refuse, others send without it, which is right.
            let lenient = bad.ends_with('\n') && answer.ok;
            assert!(!answer.ok || lenient, "{sdk:?} with {bad:?}: {answer:?}");
            let told = answer.error.unwrap_or_default();
            assert!(!told.contains(&right), "{sdk:?} tells the token: {told}");
        }
    }
    // A person revokes it: who reads the file goes on, the old one is worth nothing.
    let mut drivers = Sdk::ALL.map(|sdk| Driver::start(sdk, Source::Container, &agent.place, &[]));
    let all_work = |drivers: &mut [Driver]| drivers.iter_mut().all(|driver| driver.ask("sts").ok);
    assert!(all_work(&mut drivers));
    world.expect(0, &["revoke", "app"]);
    assert!(all_work(&mut drivers));
    std::fs::write(&file, &right).unwrap();
    let answer = Driver::start(Sdk::Boto3, Source::Container, &place, &[]).ask("sts");
    assert!(!answer.ok, "a revoked token: {answer:?}");
}

/// Case J: with `NO_PROXY` as rotakey sets it, no request for a credential goes through a proxy.
#[test]
fn nothing_goes_through_a_proxy() {
    let world = world();
    let agent = Agent::start(&world);
    let (proxy, seen) = proxy();
    let through = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];
    let variables = through.map(|name| (name, proxy.clone()));
    for sdk in Sdk::ALL {
        for source in Source::ALL {
            let mut driver = Driver::start(sdk, source, &agent.place, &variables);
            let answer = driver.ask("sts");
            assert!(answer.ok, "{sdk:?} {source:?}: {answer:?}");
        }
    }
    assert_eq!(seen.load(Ordering::Acquire), 0);
    // Without it botocore sends a secret there: the proxy of this test does see what comes.
    let without =
        [("HTTP_PROXY", proxy.clone()), ("http_proxy", proxy), ("NO_PROXY", String::new())];
    Driver::start(Sdk::Boto3, Source::Imds, &agent.place, &without).ask("sts");
    assert_ne!(seen.load(Ordering::Acquire), 0);
}

/// A proxy that counts who comes, and turns them away.
fn proxy() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::AcqRel);
            drop(stream);
        }
    });
    (url, seen)
}

/// Case K: `credential-process` is silent, short and quick, also when fifty ask at once, when the agent hangs, and when
/// there is none.
#[test]
fn credential_process_answers_whatever_becomes_of_the_agent() {
    let world = world();
    let agent = Agent::start(&world);
    at_once(&world, 50);
    agent.signal("STOP");
    at_once(&world, 3);
    agent.signal("CONT");
    at_once(&world, 3);
    drop(agent);
    at_once(&world, 3);
    // No key: nothing on stdout, and an end all the same.
    std::fs::remove_file(world.home.path().join("passphrase")).unwrap();
    let run = world.rotakey(&["credential-process"]);
    assert_ne!(run.code, 0, "{run:?}");
    assert_eq!(run.stdout, "");
}

fn at_once(world: &World, how_many: usize) {
    let since = Instant::now();
    let children: Vec<_> = (0..how_many).map(|_| world.spawn(&["credential-process"])).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.stdout.len() <= 8192, "the AWS SDK for Go v1 reads no more than 8 KiB");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["AccessKeyId"], Value::from(current(world)));
    }
    // Five seconds for one; fifty share two cores.
    let limit = Duration::from_secs(5 + how_many as u64 / 5);
    assert!(since.elapsed() < limit, "{how_many} took {:?}", since.elapsed());
}

/// Debian's AWS CLI and others split the line as sh does, the SDK for Rust has sh do it: the same arguments.
#[test]
fn the_line_means_the_same_to_shlex_and_to_sh() {
    let world = world();
    let program = world.home.path().join("with a space");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rotakey"), &program).unwrap();
    let line = format!("\"{}\" credential-process --profile app", program.display());
    let by_sh = Command::new("sh")
        .args(["-c", &line])
        .env("ROTAKEY_HOME", world.home.path())
        .output()
        .unwrap();
    let script =
        "import shlex, subprocess, sys; sys.exit(subprocess.call(shlex.split(sys.argv[1])))";
    let by_shlex = Command::new(super::support::venv().join("bin/python"))
        .args(["-c", script, &line])
        .env("ROTAKEY_HOME", world.home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    for output in [by_sh, by_shlex] {
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(answer["AccessKeyId"], Value::from(&*world.id), "{output:?}");
    }
}
