//! Pointing programs to rotakey: `exec` and `env`.

use serde_json::Value;

use super::support::World;
use super::world;

/// Prints the credentials that the container variables lead to, as an SDK fetches them.
const FETCH: &str = "import json, os, urllib.request\n\
    token = open(os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE']).read()\n\
    assert token == os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']\n\
    request = urllib.request.Request(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'], headers={'Authorization': token, 'User-Agent': 'x'})\n\
    print(urllib.request.urlopen(request).read().decode())\n";

fn exec(world: &World, args: &[&str], command: &[&str]) -> super::support::Run {
    let mut all = vec!["exec", "app"];
    all.extend(args);
    all.push("--");
    all.extend(command);
    let mut child = world.command();
    // What a shell may have left over, and what must not be lost.
    child
        .env("AWS_ACCESS_KEY_ID", "AKIALEFTOVER")
        .env("AWS_SECRET_ACCESS_KEY", "leftover")
        .env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/leftover")
        .env("AWS_PAGER", "")
        .env("NO_PROXY", "corp.example")
        .args(all);
    child.output().expect("it runs").into()
}

#[test]
fn exec_takes_leftovers_away_and_points_to_rotakey() {
    let world = world("");
    let run = exec(&world, &[], &["env"]);
    assert_eq!(run.code, 0, "{run:?}");
    let has = |line: &str| run.stdout.lines().any(|one| one == line);
    for gone in ["AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_CONTAINER_"] {
        assert!(!run.stdout.lines().any(|line| line.starts_with(gone)), "{gone}: {run:?}");
    }
    for set in [
        "AWS_REGION=us-east-1",
        "AWS_DEFAULT_REGION=us-east-1",
        "AWS_PROFILE=app",
        "AWS_EC2_METADATA_DISABLED=true",
        "AWS_PAGER=",
        "NO_PROXY=corp.example,127.0.0.1,localhost",
    ] {
        assert!(has(set), "{set}: {run:?}");
    }
    let config = run.stdout.lines().find_map(|line| line.strip_prefix("AWS_CONFIG_FILE=")).unwrap();
    let config = std::fs::read_to_string(config).unwrap();
    assert!(config.contains("credential-process --profile app"), "{config}");
}

#[test]
fn exec_ends_as_its_program_ends() {
    let world = world("");
    assert_eq!(exec(&world, &[], &["sh", "-c", "exit 7"]).code, 7);
    assert_eq!(exec(&world, &["--source", "container"], &["sh", "-c", "exit 7"]).code, 7);
    let absent = exec(&world, &[], &["/no/such/program"]);
    assert!(absent.code == 1 && absent.stderr.contains("/no/such/program"), "{absent:?}");
    let nothing = world.expect(2, &["exec", "app"]);
    assert!(nothing.stderr.contains("CMD"), "{nothing:?}");
    world.expect(2, &["exec", "nobody", "--", "true"]);
}

#[test]
fn exec_serves_its_program_itself_or_leaves_that_to_the_agent() {
    let world = world("");
    let fetch = |world: &World| -> Value {
        let run = exec(world, &["--source", "container"], &["python3", "-c", FETCH]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stderr.contains("warning: the container endpoint gives a session"), "{run:?}");
        serde_json::from_str(&run.stdout).unwrap()
    };
    let alone = fetch(&world);
    assert!(alone["AccessKeyId"].as_str().unwrap().starts_with("ASIA"), "{alone}");
    // Its lease is in the ledger, like any other.
    let horizon = world.status()["leases"]["horizon"][&world.id].as_str().unwrap().to_owned();
    assert!(horizon.as_str() >= alone["Expiration"].as_str().unwrap(), "{horizon} {alone}");
    let agent = world.agent();
    let served = agent.container("app").json();
    assert_eq!(fetch(&world)["AccessKeyId"], served["AccessKeyId"]);
}

#[test]
fn exec_follows_a_rotation_that_nobody_tells_it_of() {
    let world = world("");
    let script = format!(
        "{FETCH}\nimport sys, time\nsys.stdout.flush()\nsys.stdin.readline()\nexec({FETCH:?})\n"
    );
    let mut child = world.command();
    child.args(["exec", "app", "--source", "container", "--", "python3", "-c", &script]);
    child.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = || -> Value {
        let mut text = String::new();
        std::io::BufRead::read_line(&mut said, &mut text).unwrap();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    let before = line();
    world.expect(0, &["rotate", "--wait", "published"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"\n").unwrap();
    let after = line();
    assert!(child.wait().unwrap().success());
    let sessions = world.control(serde_json::json!({"op": "sessions"}));
    let of = |session: &Value| {
        let all = sessions["sessions"].as_array().unwrap();
        let found = all.iter().find(|one| one["access_key_id"] == session["AccessKeyId"]);
        found.unwrap()["minted_from"].clone()
    };
    assert_eq!(of(&before), world.id);
    assert_eq!(of(&after), world.served_id());
}

#[test]
fn env_prints_what_each_shell_reads() {
    let world = world("");
    let out = world.expect(0, &["env", "app"]).stdout;
    let script = format!("AWS_ACCESS_KEY_ID=leftover; export AWS_ACCESS_KEY_ID\n{out}\nenv");
    let run = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let run = String::from_utf8(run.stdout).unwrap();
    assert!(run.contains("AWS_PROFILE=app") && !run.contains("leftover"), "{run}");
    let json = world.expect(0, &["env", "app", "--format", "json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json.as_object().unwrap().values().all(Value::is_string), "{json}");
    let alone = world.expect(5, &["env", "app", "--source", "container"]);
    assert!(alone.stderr.contains("rotakey agent") && alone.stdout.is_empty(), "{alone:?}");
    let agent = world.agent();
    let systemd = world.expect(0, &["env", "app", "--source", "container", "--format", "systemd"]);
    let url =
        format!("AWS_CONTAINER_CREDENTIALS_FULL_URI=\"http://{}/credentials/app\"", agent.listen());
    assert!(systemd.stdout.lines().any(|line| line == url), "{systemd:?}");
    let fish = world.expect(0, &["env", "app", "--format", "fish"]).stdout;
    assert!(
        fish.contains("set -gx AWS_PROFILE 'app'") && fish.contains("set -e AWS_ACCESS_KEY_ID"),
        "{fish}"
    );
}

/// Answers a question at a terminal; what came of it is the last line.
const AT_A_TERMINAL: &str = "import os, pty, sys\n\
    pid, fd = pty.fork()\n\
    if pid == 0:\n    os.execv(sys.argv[1], sys.argv[1:-1])\n\
    said = b''\n\
    while b'Code of' not in said:\n    said += os.read(fd, 1024)\n\
    os.write(fd, sys.argv[-1].encode() + b'\\n')\n\
    try:\n    while True:\n        said += os.read(fd, 65536)\n\
    except OSError:\n    pass\n\
    print(said.decode().strip().splitlines()[-1])\n\
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";

#[test]
fn exec_asks_for_an_mfa_code_when_there_is_somebody_to_ask() {
    const SEED: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let world = world("");
    let device =
        world.control(serde_json::json!({"op": "mfa-device", "user": "app", "seed": SEED}));
    let serial = device["serial"].as_str().unwrap();
    world.configure_agent(super::ANYWHERE, &format!("mfa_serial = \"{serial}\"\n"));
    let code = rotakey_agent::totp::code(SEED, jiff::Timestamp::now()).unwrap();
    let mut command = world.command();
    let rotakey = command.get_program().to_owned();
    command = {
        let mut python = std::process::Command::new("python3");
        python.env_clear().envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
        python
    };
    command.args(["-c", AT_A_TERMINAL]).arg(rotakey);
    command.args(["exec", "app", "--source", "container", "--", "python3", "-c", FETCH, &code]);
    let run: super::support::Run = command.output().unwrap().into();
    assert_eq!(run.code, 0, "{run:?}");
    let fetched: Value =
        serde_json::from_str(run.stdout.trim()).unwrap_or_else(|_| panic!("{run:?}"));
    assert!(fetched["AccessKeyId"].as_str().unwrap().starts_with("ASIA"), "{fetched}");
}
