//! The world in which a document's commands run: the embedded simulator, a home folder of its own, the profile `deploy` of
//! the user `deploy`, real shells, and the real AWS CLI.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use serde_json::json;

use super::support::agent::Agent;
use super::support::{Run, World, own_seed, venv};

/// What lifts the floors, so that nobody waits a week. The old key stays long enough to be brought back.
const SHORT: &str = "unsafe_durations = true\nlease = \"5m\"\nsoak = \"10m\"\nprobe = { successes = 2, spacing = \"100ms\" }\n";
/// The same, with an end within seconds.
const QUICK: &str = "unsafe_durations = true\nlease = \"1s\"\nsoak = \"1s\"\nprobe = { successes = 2, spacing = \"100ms\" }\n";

/// A mark's words, understood.
#[derive(Debug, Default)]
pub struct Words {
    /// Begin anew. `added`: the profile is there. `files`: its key is in ~/.aws/credentials, and `imported` from there.
    /// `empty`: neither.
    pub fresh: Option<String>,
    /// `agent`: one runs.
    pub agent: bool,
    /// `quick`: leases and the soak last a second.
    pub quick: bool,
    /// `alice=user`: that user is there, too; `aws-vault=stub`: and a program of that name. `NAME=alice`: what the document's `NAME` is.
    pub names: Vec<(String, String)>,
    /// `exit 3`: how the last command ends; `exit 2:3`: how the second one does.
    pub exits: Vec<(Option<usize>, i32)>,
}

impl Words {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = Self::default();
        let mut left = text.split_whitespace();
        while let Some(word) = left.next() {
            match word {
                "added" | "files" | "imported" | "empty" => words.fresh = Some(word.to_owned()),
                "agent" => words.agent = true,
                "quick" => words.quick = true,
                "exit" => {
                    let value = left.next().unwrap_or_default();
                    let (line, code) = match value.split_once(':') {
                        Some((line, code)) => (line.parse().ok(), code),
                        None => (None, value),
                    };
                    let code = code.parse().map_err(|_| format!("exit {value}: no exit code"))?;
                    words.exits.push((line, code));
                }
                _ => {
                    let (name, value) =
                        word.split_once('=').ok_or(format!("{word}: no word of a mark"))?;
                    words.names.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        Ok(words)
    }
}

fn write_program(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// As much of aws-vault as a move away from it needs: `exec --no-session NAME -- CMD` gives the stored key to a program.
fn aws_vault(id: &str, secret: &str) -> String {
    format!(
        "#!/bin/sh\n[ \"$1 $2 $4\" = 'exec --no-session --' ] || exit 2\nshift 4\n\
         AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY='{secret}' exec \"$@\"\n"
    )
}

/// A world, and who is in it.
pub struct Stage {
    pub world: World,
    pub agent: Option<Agent>,
    id: String,
    durations: &'static str,
    /// What the placeholders of the document stand for.
    names: Vec<(String, String)>,
    /// The administrator's key, with which `aws` signs.
    admin: (String, String),
    /// No profile says where AWS is: the environment does.
    empty: bool,
}

impl Stage {
    pub fn new(words: &Words) -> Self {
        let world = World::with(json!({"seed": own_seed()}));
        world.lighten_keys();
        let make = |user: &str| {
            world.control(json!({"op": "create-user", "user": user}));
            let key = world.control(json!({"op": "create-key", "user": user}));
            let text = |name: &str| key[name].as_str().unwrap().to_owned();
            (text("access_key_id"), text("secret_access_key"))
        };
        let (admin, (id, secret)) = (make("admin"), make("deploy"));
        for (name, what) in &words.names {
            if what == "user" {
                make(name);
            }
        }
        for folder in ["bin", ".aws", "projects", "app"] {
            std::fs::create_dir(world.home.path().join(folder)).unwrap();
        }
        let bin = world.home.path().join("bin");
        symlink(env!("CARGO_BIN_EXE_rotakey"), bin.join("rotakey")).unwrap();
        let program = world.home.path().join("program");
        write_program(&program, "#!/bin/sh\nexec aws sts get-caller-identity\n");
        world.configure("[agent]\nlisten = \"127.0.0.1:0\"\nproxy_listen = \"127.0.0.1:0\"\n");
        let durations = if words.quick { QUICK } else { SHORT };
        if words
            .names
            .iter()
            .any(|(name, what)| (name.as_str(), what.as_str()) == ("aws-vault", "stub"))
        {
            write_program(&bin.join("aws-vault"), &aws_vault(&id, &secret));
        }
        let empty = words.fresh.as_deref() == Some("empty");
        let stage = Self { world, agent: None, id, durations, names: Vec::new(), admin, empty };
        match words.fresh.as_deref() {
            Some("files") => stage.write_shared_files(&secret),
            Some("imported") => {
                stage.write_shared_files(&secret);
                let run = stage.shell("rotakey import --all");
                assert_eq!(run.code, 0, "{run:?}");
            }
            Some("empty") => {}
            _ => stage.add(&secret),
        }
        stage
    }

    /// What a later mark of the same document adds.
    pub fn take(&mut self, words: &Words) {
        let defaults = ["NAME", "P", "PROFILE"].map(|name| (name.to_owned(), "deploy".to_owned()));
        self.names = words.names.iter().cloned().chain(defaults).collect();
        if words.agent {
            self.start_agent();
        }
    }

    fn write_shared_files(&self, secret: &str) {
        let key = format!(
            "[deploy]\naws_access_key_id = {}\naws_secret_access_key = {secret}\n",
            self.id
        );
        self.world.write(".aws/credentials", &key);
        let url = &self.world.url;
        let config = format!("[profile deploy]\nregion = eu-west-1\nendpoint_url = {url}\n");
        self.world.write(".aws/config", &config);
    }

    fn add(&self, secret: &str) {
        let line = format!(
            "printf %s '{secret}' | rotakey add deploy --access-key-id {} --secret-stdin --endpoint-url {}",
            self.id, self.world.url
        );
        let run = self.shell(&line);
        assert_eq!(run.code, 0, "{run:?}");
        self.shorten();
    }

    /// A profile that a command has made gets short durations.
    fn shorten(&self) {
        let path = self.world.home.path().join("config.toml");
        let text = std::fs::read_to_string(path).unwrap();
        if !text.contains("unsafe_durations") && text.contains("[profile.deploy]\n") {
            let with = format!("[profile.deploy]\n{}", self.durations);
            let write =
                || self.world.write("config.toml", &text.replace("[profile.deploy]\n", &with));
            match &self.agent {
                // The next command is to find that it goes by this.
                Some(agent) => agent.reload_after(write),
                None => write(),
            }
        }
    }

    pub fn start_agent(&mut self) {
        if self.agent.is_none() {
            let mut command = self.world.command();
            self.environ(&mut command);
            self.agent = Some(Agent::start(&self.world, command));
        }
    }

    fn path(&self) -> String {
        let bin = self.world.home.path().join("bin");
        format!("{}:{}:/usr/bin:/bin", bin.display(), venv().join("bin").display())
    }

    fn environ(&self, command: &mut Command) {
        let home = self.world.home.path();
        command.env("HOME", home).env("PATH", self.path()).env_remove("AWS_PROFILE");
        command.env("AWS_EC2_METADATA_DISABLED", "true").current_dir(home);
        // A profile's endpoint_url is that of IAM and STS. Nothing here may reach AWS.
        command.env("AWS_ENDPOINT_URL_S3", &self.world.url);
        if self.empty {
            command.env("AWS_ENDPOINT_URL", &self.world.url);
        }
    }

    /// A line, with what its placeholders stand for.
    pub fn filled(&self, line: &str) -> String {
        let line = line.replace("AKIA...", &self.id).replace("AKIA…", &self.id);
        let mut filled = String::new();
        let mut word = String::new();
        for c in line.chars().chain(['\n']) {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            let stands = self.names.iter().find(|(name, _)| *name == word);
            filled.push_str(stands.map_or(word.as_str(), |(_, value)| value));
            filled.push(c);
            word.clear();
        }
        filled.trim_end().to_owned()
    }

    fn bash(&self, line: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["90", "bash", "-o", "pipefail", "-c", line]);
        command.env_clear().env("ROTAKEY_HOME", self.world.home.path()).stdin(Stdio::null());
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        self.environ(&mut command);
        if line.starts_with("aws ") {
            let (id, secret) = &self.admin;
            command.env("AWS_ENDPOINT_URL", &self.world.url).env("AWS_DEFAULT_REGION", "us-east-1");
            command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        }
        command
    }

    pub fn shell(&self, line: &str) -> Run {
        let run = self.bash(line).output().unwrap().into();
        self.shorten();
        run
    }

    /// Lets something that goes on for ever say something, and interrupts it.
    pub fn watch(&self, line: &str) -> Run {
        use std::io::Read;
        // What it says goes on after the first bytes; it is ended by itself if nothing comes.
        let line = format!("exec {line}");
        let mut command = self.bash(&line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        let said = child.stdout.as_mut().unwrap().read(&mut first).unwrap();
        let pid = child.id().to_string();
        // `timeout` hands it on.
        Command::new("kill").args(["-s", "INT", &pid]).status().unwrap();
        let mut run: Run = child.wait_with_output().unwrap().into();
        if said == 1 && [0, 130].contains(&run.code) {
            run.code = 0;
        }
        run
    }

    /// Runs a Python program where the state is; what was wrong.
    pub fn python(&self, program: &str) -> Option<String> {
        let mut command = Command::new(venv().join("bin/python"));
        self.environ(&mut command);
        command.current_dir(self.world.home.path().join("state"));
        let output = command.args(["-c", program]).output().unwrap();
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
