//! What is served, by which source, to whom.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::World;
use super::{eventually, world};

#[test]
fn every_source_serves_what_it_should() {
    let world = world("");
    let agent = world.agent();
    let process = world.served();
    assert_eq!(process["AccessKeyId"], world.id);
    assert_eq!(process["AccountId"], "123456789012");
    assert!(process.get("SessionToken").is_none());
    for answer in [agent.container("app"), agent.imds("app")] {
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        let id = body["AccessKeyId"].as_str().unwrap();
        assert!(id.starts_with("ASIA"), "never the bare key: {id}");
        assert!(body["Token"].as_str().unwrap().len() > 100);
        assert_eq!((&body["Code"], &body["Type"]), (&json!("Success"), &json!("AWS-HMAC")));
        assert_eq!(body["AccountId"], "123456789012");
    }
    assert_eq!(agent.imds("").body, b"app", "the role's name, without a newline");
}

#[test]
fn a_profile_that_serves_sessions_or_a_role_gives_them_to_process_too() {
    let world = world("");
    world.control(json!({"op": "create-role", "role": "deploy",
        "trust": ["arn:aws:iam::123456789012:user/app"]}));
    let role = format!(
        "serve = \"role\"\nrole_arn = \"arn:aws:iam::123456789012:role/deploy\"\n\
         source_profile = \"app\"\nendpoint_url = \"{}\"\n",
        world.url
    );
    world.configure_agent(
        super::ANYWHERE,
        &format!(
            "serve = \"session\"\nimds = true\n[profile.admin]\n{role}unsafe_durations = true\n"
        ),
    );
    let agent = world.agent();
    let session = world.served();
    assert!(session["AccessKeyId"].as_str().unwrap().starts_with("ASIA"), "{session}");
    assert_eq!(session["AccessKeyId"], agent.container("app").json()["AccessKeyId"]);
    let admin = world.expect(0, &["credential-process", "--profile", "admin"]);
    let admin: Value = serde_json::from_str(&admin.stdout).unwrap();
    assert_eq!(admin["AccessKeyId"], agent.container("admin").json()["AccessKeyId"]);
    assert_ne!(admin["AccessKeyId"], session["AccessKeyId"]);
    let sessions = world.control(json!({"op": "sessions"}));
    let of = |id: &Value| {
        let all = sessions["sessions"].as_array().unwrap();
        all.iter().find(|one| one["access_key_id"] == *id).unwrap().clone()
    };
    assert_eq!(of(&session["AccessKeyId"])["arn"], "arn:aws:iam::123456789012:user/app");
    let arn = of(&admin["AccessKeyId"])["arn"].as_str().unwrap().to_owned();
    assert!(arn.contains(":assumed-role/deploy/"), "{arn}");
    // Both are accounted to the one key, and both are fetched back when it is rotated.
    world.expect(0, &["rotate", "app", "--wait", "deleted"]);
    for id in [
        world.served_id(),
        agent.container("admin").json()["AccessKeyId"].as_str().unwrap().to_owned(),
    ] {
        let sessions = world.control(json!({"op": "sessions"}));
        let all = sessions["sessions"].as_array().unwrap();
        let one = all.iter().find(|one| one["access_key_id"] == *id).unwrap();
        assert_ne!(one["minted_from"], world.id, "{one}");
    }
}

#[test]
fn a_source_that_never_worked_is_reported_and_does_not_stop_a_rotation() {
    let world = world("");
    world.control(json!({"op": "deny", "user": "app", "actions": ["sts:GetSessionToken"]}));
    let agent = world.agent();
    let refused = agent.container("app");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(world.served_id(), world.id);
    let sources = world.status()["sources"].clone();
    assert!(sources["container"].as_str().unwrap().contains("GetSessionToken"), "{sources}");
    // Nor does a program that asks it again and again keep the old key waiting.
    let since = || agent.control("GET", "/v1/profiles/app", b"").json()["healthy_since"].clone();
    let before = since();
    assert_eq!(agent.container("app").status, 503);
    assert_eq!(since(), before);
    world.expect(0, &["rotate", "--wait", "deleted"]);
    world.assert_rotated();
}

#[test]
fn a_source_that_broke_before_a_rotation_does_not_stop_it_either() {
    let world = world("session_duration = \"3s\"\n");
    world.control(json!({"op": "behaviour", "set": {"session_seconds_min": 1}}));
    let agent = world.agent();
    eventually("it works", || agent.container("app").status == 200);
    world.control(json!({"op": "deny", "user": "app", "actions": ["sts:GetSessionToken"]}));
    eventually("its last session is over", || agent.container("app").status == 503);
    world.expect(0, &["rotate", "--wait", "published"]);
    assert_ne!(world.served_id(), world.id);
}

#[test]
fn who_holds_a_key_is_seen_in_status() {
    let world = World::added();
    let more = "imds = true\n".to_owned();
    let table = world.quick_profile(&more).replace("lease = \"1s\"", "lease = \"20s\"");
    world.configure(&format!("{}{table}", super::ANYWHERE));
    let agent = world.agent();
    // A program that asks by its SDK's way, through a shell, and lives on with what it got.
    let script = "import subprocess, sys\n\
        subprocess.run(sys.argv[1] + ' credential-process --profile app', shell=True, check=True, stdout=subprocess.DEVNULL)\n\
        import urllib.request\n\
        request = urllib.request.Request(sys.argv[2], headers={'Authorization': open(sys.argv[3]).read(), 'User-Agent': 'x'})\n\
        answer = urllib.request.urlopen(request)\n\
        print(len(answer.read()), flush=True)\n\
        sys.stdin.read()\n";
    let mut command = Command::new("python3");
    let url = format!("http://{}/credentials/app", agent.listen());
    command.args(["-c", script, env!("CARGO_BIN_EXE_rotakey"), &url]);
    command.arg(world.state().join("token")).env("ROTAKEY_HOME", world.home.path());
    let mut program = command.stdin(Stdio::piped()).spawn().unwrap();
    let pid = u64::from(program.id());
    let held = || {
        let holders = world.status()["leases"]["holders"].clone();
        let ours = |source: &str| {
            holders.as_array().unwrap().iter().any(|one| {
                let exe = one["exe"].as_str().unwrap_or_default();
                one["pid"] == pid && one["source"] == source && exe.contains("python")
            })
        };
        ours("process") && ours("container")
    };
    eventually("the program is among the holders, by both sources", held);
    world.expect(0, &["rotate"]);
    let text = world.expect(0, &["status"]).stdout;
    let line = format!("old key held by pid {pid} (python3");
    assert!(text.contains(&line), "{text}");
    // A holder that has ended holds nothing.
    program.stdin.take().unwrap().flush().unwrap();
    assert!(program.wait().unwrap().success());
    let text = world.expect(0, &["status"]).stdout;
    assert!(!text.contains(&line), "{text}");
}

#[test]
fn only_the_programs_on_the_list_are_served() {
    let world = world("executables = [\"/usr/bin/false\"]\n");
    let refused = world.expect(3, &["credential-process"]);
    assert!(refused.stderr.contains("executables") && refused.stdout.is_empty(), "{refused:?}");
    let agent = world.agent();
    let refused = world.expect(3, &["credential-process"]);
    assert!(refused.stderr.contains("executables") && refused.stdout.is_empty(), "{refused:?}");
    assert_eq!(agent.container("app").status, 403);
    let us = std::env::current_exe().unwrap();
    world.configure_agent(super::ANYWHERE, &format!("executables = [{us:?}]\n"));
    agent.signal("HUP");
    eventually("we are on the list", || agent.container("app").status == 200);
    assert_eq!(world.served_id(), world.id);
}

#[test]
fn a_revoked_token_is_worth_nothing() {
    let world = world("");
    let agent = world.agent();
    let before = std::fs::read_to_string(world.state().join("token")).unwrap();
    assert_eq!(before.len(), 64);
    assert_eq!(agent.container("app").status, 200);
    world.expect(0, &["revoke", "app"]);
    let old = format!("Authorization: {before}\r\n");
    assert_eq!(agent.http("GET", "/credentials/app", &old).status, 401);
    assert_eq!(agent.container("app").status, 200);
    let (code, _) = agent.stop();
    assert_eq!(code, 0);
    let agent = world.agent();
    assert_eq!(agent.http("GET", "/credentials/app", &old).status, 401, "also after a restart");
    assert_eq!(agent.container("app").status, 200);
}
