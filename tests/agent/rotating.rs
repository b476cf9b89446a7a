//! What the agent does about rotations, and how it stays out of a person's way.

use std::time::Duration;

use serde_json::Value;

use super::support::agent::Agent;
use super::support::{Run, World};
use super::{ANYWHERE, eventually, world};

#[test]
fn the_agent_finishes_what_a_person_began() {
    let world = world("");
    let agent = world.agent();
    let run = world.expect(0, &["rotate"]);
    assert!(run.stderr.contains("the agent drains, deactivates and deletes"), "{run:?}");
    let published = world.served_id();
    assert_ne!(published, world.id);
    // Every source serves the new key, or a session minted from it, once `rotate` says so.
    let view = agent.control("GET", "/v1/profiles/app", b"").json();
    assert_eq!(
        (&view["key"], &view["temporary"]["key"]),
        (&published.clone().into(), &published.clone().into())
    );
    assert_eq!(agent.container("app").json()["AccessKeyId"], view["temporary"]["access_key_id"]);
    assert_eq!(agent.imds("app").json()["AccessKeyId"], view["temporary"]["access_key_id"]);
    eventually("the old key is gone", || world.keys().len() == 1 && world.step().is_none());
    world.assert_rotated();
}

#[test]
fn the_agent_rotates_by_itself_when_a_key_is_old() {
    let world = world("max_age = \"1s\"\n");
    let _agent = world.agent();
    eventually("a new key is served", || world.served_id() != world.id);
    let history = world.expect(0, &["history", "--json"]).stdout;
    assert!(history.contains("scheduled"), "{history}");
}

/// Programs that read AWS's shared files would go on with a dead key.
#[test]
fn nothing_is_rotated_unattended_while_a_plaintext_copy_is_left() {
    let world = world("max_age = \"1s\"\n");
    world.write("credentials", &format!("[app]\n# kept\naws_access_key_id = {}\n", world.id));
    let path = |name: &str| world.home.path().join(name);
    let command = || {
        let mut command = world.command();
        command.env("AWS_SHARED_CREDENTIALS_FILE", path("credentials"));
        command.env("AWS_CONFIG_FILE", path("config"));
        command
    };
    let place = format!("{}:3", path("credentials").display());
    let agent = Agent::start(&world, command());
    let schedule = || agent.control("GET", "/v1/profiles/app", b"").json()["schedule"].clone();
    eventually("it waits", || schedule()["waits_for"] == "a plaintext copy");
    assert_eq!(schedule()["detail"], place);
    let first = schedule()["next_look"].clone();
    let next: jiff::Timestamp = first.as_str().unwrap().parse().unwrap();
    let wait = next.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((2600..4600).contains(&wait), "{wait}");
    // It looks again when it is woken, and says nothing new.
    agent.control("POST", "/v1/profiles/app/wake", b"");
    eventually("it waits anew", || {
        let now = schedule();
        now["next_look"] != first && now["waits_for"] == "a plaintext copy"
    });
    assert_eq!(world.keys().len(), 1);
    assert_eq!(world.served_id(), world.id);
    // A person may.
    let run: Run = command().arg("rotate").output().unwrap().into();
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains(&format!("warning: {} is in {place}", world.id)), "{run:?}");
    // The copy is of a key that is not served any more.
    let second = world.served_id();
    eventually("the next is rotated", || world.served_id() != second);
    let said = agent.stop().1;
    assert_eq!(said.matches("a rotation is due, and the key is also in").count(), 1, "{said}");
}

#[test]
fn a_rotation_that_was_killed_goes_on_after_a_restart() {
    let world = world("");
    let agent = world.agent();
    world.expect(0, &["rotate"]);
    agent.kill();
    assert_eq!(world.step().as_deref(), Some("drain"));
    // Without an agent, programs are served all the same.
    assert_ne!(world.served_id(), world.id);
    let _agent = world.agent();
    eventually("the old key is gone", || world.step().is_none());
    world.assert_rotated();
}

#[test]
fn a_persons_undo_never_finds_the_agent_in_the_way() {
    let world = World::added();
    let table = world.quick_profile("imds = true\n").replace("soak = \"1s\"", "soak = \"1h\"");
    world.configure(&format!("{ANYWHERE}{table}"));
    let agent = world.agent();
    world.expect(0, &["rotate"]);
    eventually("it soaks", || world.step().as_deref() == Some("soak"));
    std::thread::sleep(Duration::from_millis(500));
    world.expect(0, &["undo"]);
    assert_eq!(world.served_id(), world.id);
    assert!(world.accepts(&world.id));
    let view = agent.control("GET", "/v1/profiles/app", b"").json();
    assert_eq!(view["temporary"]["key"], world.id, "sessions are of the previous key again");
}

#[test]
fn an_agent_that_starts_or_fails_a_program_makes_the_old_key_wait() {
    let world = world("");
    let agent = world.agent();
    let since = |agent: &Agent| -> jiff::Timestamp {
        let view = agent.control("GET", "/v1/profiles/app", b"").json();
        view["healthy_since"].as_str().unwrap().parse().unwrap()
    };
    let first = since(&agent);
    assert_eq!(first, since(&agent), "nothing happened");
    // The ledger is another one than the agent can serve: programs get nothing.
    let ledger = world.state().join("ledger.json");
    let good = std::fs::read(&ledger).unwrap();
    let mut other: Value = serde_json::from_slice(&good).unwrap();
    other["generation"] = 7.into();
    other["access_key_id"] = "AKIANOTHELD".into();
    std::fs::write(&ledger, serde_json::to_vec(&other).unwrap()).unwrap();
    eventually("a program gets nothing", || agent.container("app").status == 503);
    let failed = since(&agent);
    assert!(failed > first, "{failed} {first}");
    std::fs::write(&ledger, good).unwrap();
    eventually("serving goes on", || agent.container("app").status == 200);
    assert!(since(&agent) >= failed, "U never falls");
    drop(agent);
    let agent = world.agent();
    assert!(since(&agent) > failed, "a restart is an outage");
}

#[test]
fn profiles_that_share_a_key_are_one_rotation() {
    let world = World::added();
    let sharers =
        "[profile.one]\nsource_profile = \"app\"\n[profile.two]\nsource_profile = \"app\"\n";
    world.configure_agent(ANYWHERE, &format!("max_age = \"1s\"\n{sharers}"));
    let agent = world.agent();
    eventually("a new key is served", || world.served_id() != world.id);
    for name in ["one", "two"] {
        let view = agent.control("GET", &format!("/v1/profiles/{name}"), b"").json();
        assert_eq!(view["holder"], "app");
        assert!(view["schedule"]["next_look"].is_string(), "{view}");
    }
    let log = world.control(serde_json::json!({"op": "log", "from": 0}));
    let made = log["events"].as_array().unwrap().iter();
    let begun =
        world.expect(0, &["history", "--json"]).stdout.matches("\"kind\":\"begun\"").count();
    let made = made.filter(|event| event["action"] == "CreateAccessKey").count();
    assert!(made <= begun && begun <= 3, "{made} keys made in {begun} rotations");
    assert!(!world.home.path().join("state/one/journal").exists());
}

/// A program that is served, and that reports: this test.
#[test]
fn only_a_holder_that_is_refused_has_the_old_key_made_active_again() {
    let world = World::added();
    let table = world.quick_profile("imds = true\n").replace("soak = \"1s\"", "soak = \"1h\"");
    world.configure(&format!("{ANYWHERE}{table}"));
    let agent = world.agent();
    world.expect(0, &["rotate"]);
    let early = agent.control("POST", "/v1/profiles/app/report", b"refused");
    assert_eq!(early.status, 403, "nobody was served: {early:?}");
    eventually("it soaks", || world.step().as_deref() == Some("soak"));
    // Whoever tries the old key brings nothing back.
    for _ in 0..20 {
        assert!(!world.accepts(&world.id));
    }
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(world.step().as_deref(), Some("soak"));
    assert_eq!(agent.container("app").status, 200);
    eventually("the holder is known", || {
        let view = agent.control("GET", "/v1/profiles/app", b"").json();
        view["holders"].as_array().is_some_and(|holders| !holders.is_empty())
            || agent.container("app").status != 200
    });
    eventually("it counts", || {
        agent.control("POST", "/v1/profiles/app/report", b"InvalidClientTokenId").status == 204
    });
    eventually("the old key is served again", || world.served_id() == world.id);
    assert!(world.accepts(&world.id));
    let history = world.expect(0, &["history"]).stdout;
    assert!(history.contains("says: InvalidClientTokenId"), "{history}");
}

#[test]
fn a_person_who_heard_of_a_straggler_lets_it_pass_by_resuming() {
    let world = World::added();
    let held =
        world.quick_profile("").replace("lease = \"1s\"", "lease = \"1s\"\nobserve = \"1m\"");
    let quick = world.quick_profile("").replace("soak = \"1s\"", "soak = \"1h\"");
    world.configure(&quick);
    world.expect(0, &["rotate"]);
    std::thread::sleep(Duration::from_millis(6000));
    assert!(world.accepts(&world.id), "somebody outside uses the old key");
    world.configure(&held);
    // He hears of it now.
    let run = world.expect(3, &["resume", "--wait", "deactivated"]);
    assert!(run.stderr.contains("held"), "{run:?}");
    assert!(world.accepts(&world.id));
    // What a timer runs decides nothing, however often.
    world.expect(3, &["resume", "--wait", "deactivated"]);
    assert!(run.stderr.contains("--despite-use"), "{run:?}");
    world.expect(0, &["resume", "--despite-use"]);
    assert!(!world.accepts(&world.id), "he let it pass");
    assert_eq!(world.step().as_deref(), Some("soak"));
}

/// The new key is accepted nowhere for a while: the agent is at work, with the engine's lock.
#[test]
fn an_agent_at_work_gives_way_to_a_person() {
    let world =
        World::with(serde_json::json!({"visible_after": 5000, "last_used_granularity": 1000}));
    world.add();
    world.configure_agent(ANYWHERE, "max_age = \"1s\"\nimds = true\n");
    let _agent = world.agent();
    eventually("it verifies", || world.step().as_deref() == Some("verify"));
    world.expect(0, &["abort"]);
    assert_eq!(world.served_id(), world.id);
    eventually("the new key is gone", || world.keys().len() == 1 || world.step().is_some());
}

/// As when systemd holds the sockets and the agent behind them does not start: nothing is begun that would be taken back.
#[test]
fn an_agent_that_does_not_answer_stops_a_rotation_before_it_begins() {
    let world = world("");
    let agent = world.agent();
    agent.signal("STOP");
    let run = world.expect(5, &["rotate"]);
    assert!(
        run.stderr.contains("agent does not answer") && run.stderr.contains("hint:"),
        "{run:?}"
    );
    assert_eq!(world.keys().len(), 1);
    assert_eq!(world.served_id(), world.id, "programs are served without it");
    // Also when as many wait for it as the kernel lets wait.
    let socket = world.home.path().join("run/agent.sock");
    let connect = || {
        let flags = rustix::net::SocketFlags::NONBLOCK;
        let kind = rustix::net::SocketType::STREAM;
        let fd =
            rustix::net::socket_with(rustix::net::AddressFamily::UNIX, kind, flags, None).unwrap();
        let address = rustix::net::SocketAddrUnix::new(&socket).unwrap();
        rustix::net::connect(&fd, &address).is_ok().then_some(fd)
    };
    let waiting: Vec<_> = std::iter::from_fn(connect).take(10_000).collect();
    assert!(waiting.len() < 10_000);
    assert_eq!(world.served_id(), world.id);
    drop(waiting);
    agent.signal("CONT");
    world.expect(0, &["rotate"]);
}

/// What rotakey fetches to see that a source serves the new key is counted, and nobody needs to hear of it.
#[test]
fn rotakey_is_not_among_the_holders() {
    let world = World::added();
    let table = world.quick_profile("max_age = \"1s\"\nimds = true\n");
    let table = table.replace("soak = \"1s\"", "soak = \"1h\"");
    world.configure(&format!("{ANYWHERE}{}", table.replace("lease = \"1s\"", "lease = \"1h\"")));
    let agent = world.agent();
    eventually("a new key is served", || world.served_id() != world.id);
    let new = world.served_id();
    assert_eq!(agent.container("app").status, 200);
    let leases = || world.status()["leases"].clone();
    let holds = |pid: u32| {
        let leases = leases();
        let mut holders = leases["holders"].as_array().unwrap().iter();
        holders.any(|holder| holder["pid"] == pid)
    };
    eventually("this test is known", || holds(std::process::id()));
    assert!(!holds(agent.pid()), "{}", leases());
    assert!(leases()["horizon"][&new].is_string(), "{}", leases());
}

/// AWS says that a key of the user leaked: nothing brings one back but a person who insists.
#[test]
fn under_quarantine_nothing_is_made_active_again_by_itself() {
    let world = World::added();
    let table = world.quick_profile("imds = true\n").replace("soak = \"1s\"", "soak = \"1h\"");
    world.configure(&format!("{ANYWHERE}{table}"));
    let agent = world.agent();
    world.expect(0, &["rotate"]);
    eventually("it soaks", || world.step().as_deref() == Some("soak"));
    let report = || {
        agent.container("app");
        agent.control("POST", "/v1/profiles/app/report", b"refused").status
    };
    // The mark alone: IAM would let it be done.
    world.write("state/app/quarantine", "AWSCompromisedKeyQuarantineV3 AKIANOBODY\n");
    eventually("the holder is known", || report() == 409);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(world.step().as_deref(), Some("soak"));
    assert!(!world.accepts(&world.id));
    let run = world.expect(3, &["undo"]);
    assert!(run.stderr.contains("leaked") && run.stderr.contains("--force"), "{run:?}");
    world.write("state/app/quarantine", "");
    // A holder is noted beside the answer that he is given: on a busy machine some moments after it.
    eventually("without it, it counts", || report() == 204);
    eventually("the old key is served again", || world.served_id() == world.id);
}
