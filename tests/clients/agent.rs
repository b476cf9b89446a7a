//! The real agent, alone or on sockets that stay open while it is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::sources::{Place, aws_config, root};
use super::support::{World, venv};

/// How long the leases are. Long enough that no client is too slow for it on a busy machine; short enough that
/// a rotation takes seconds.
pub(crate) const LEASE: &str = "4s";

/// A running agent, and where it serves.
pub(crate) struct Agent {
    child: Child,
    activator: Option<(ChildStdin, BufReader<ChildStdout>)>,
    pub(crate) place: Place,
}

/// A user at a simulator that refuses deactivated keys at once, and the sessions that were made from them.
pub(crate) fn world() -> World {
    let world = World::with(serde_json::json!({
        "last_used_granularity": 1000, "sessions_die_with_key": true,
    }));
    world.lighten_keys();
    world.add();
    configure(&world);
    world
}

/// The profile of the tests of clients.
fn configure(world: &World) {
    let profile = world
        .quick_profile("imds = true\n")
        .replace("lease = \"1s\"", &format!("lease = \"{LEASE}\""))
        .replace("soak = \"1s\"", "soak = \"2s\"");
    world.configure(&format!("[agent]\nlisten = \"127.0.0.1:0\"\n{profile}"));
}

impl Agent {
    /// Starts it on a port of its own choice.
    pub(crate) fn start(world: &World) -> Self {
        let mut child = world
            .command()
            .arg("agent")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut http = None;
        let mut said = Vec::new();
        while http.is_none() {
            let line = lines.next().and_then(Result::ok);
            let line = line.unwrap_or_else(|| panic!("the agent does not serve: {said:?}"));
            http = line.split_once(" at http://").map(|(_, at)| format!("http://{at}"));
            said.push(line);
        }
        // Somebody has to read what it says.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| println!("{line}")));
        let place = place(world, http.expect("it serves"));
        Self { child, activator: None, place }
    }

    /// Starts it on sockets that a parent holds open.
    pub(crate) fn start_activated(world: &World) -> Self {
        let run = world.home.path().join("run");
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .recursive(true)
            .create(&run)
            .expect("writable");
        let own = world.command();
        let mut command = Command::new(venv().join("bin/python"));
        command.env_clear();
        for (name, value) in own.get_envs() {
            command.env(name, value.expect("set"));
        }
        let mut child = command
            .arg(root().join("tests/clients/activator.py"))
            .arg(run.join("agent.sock"))
            .arg(own.get_program())
            .arg("agent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let stdin = child.stdin.take().expect("piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let port = line(&mut stdout)["port"].as_u64().expect("a port");
        let place = place(world, format!("http://127.0.0.1:{port}"));
        Self { child, activator: Some((stdin, stdout)), place }
    }

    /// Gives the activator an order: `kill`, `down` or `up`.
    pub(crate) fn order(&mut self, order: &str) {
        let (stdin, stdout) = self.activator.as_mut().expect("activated");
        writeln!(stdin, "{order}").expect("it lives");
        assert_eq!(line(stdout)["done"], order);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        match self.activator.take() {
            // The end of its input ends it, and the agent.
            Some((stdin, _)) => drop(stdin),
            None => {
                let _ = rustix::process::kill_process(
                    rustix::process::Pid::from_child(&self.child),
                    rustix::process::Signal::TERM,
                );
            }
        }
        let since = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if since.elapsed() > Duration::from_secs(20) {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn line(from: &mut impl BufRead) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).expect("readable");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

fn place(world: &World, http: String) -> Place {
    let home = world.home.path();
    let token_file = world.state().join("token");
    // Programs have no ROTAKEY_HOME: the line says where it is.
    let program = home.join("credential-process");
    let script = format!(
        "#!/bin/sh\nROTAKEY_HOME='{}' exec '{}' credential-process --profile app\n",
        home.display(),
        env!("CARGO_BIN_EXE_rotakey")
    );
    world.write("credential-process", &script);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&program, mode).expect("ours");
    world.write("aws-config", &aws_config(&program.display().to_string()));
    let since = Instant::now();
    while !token_file.exists() && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Place {
        api: world.url.clone(),
        http,
        token: std::fs::read_to_string(&token_file).expect("a token of the container endpoint"),
        token_file,
        config: home.join("aws-config"),
        home: home.to_owned(),
    }
}
