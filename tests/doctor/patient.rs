//! A set-up that is looked at: a world, its agent, two shared files, and the environment of a shell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::support::World;
use super::support::agent::{ANYWHERE, Agent};

/// The set-up.
pub(crate) struct Patient {
    pub(crate) world: World,
    pub(crate) agent: Option<Agent>,
    /// What is set in the shell, beyond what a clean one has.
    pub(crate) env: BTreeMap<String, String>,
}

/// What `doctor` said.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) verdict: String,
    pub(crate) found: String,
    pub(crate) hint: Option<String>,
    pub(crate) command: Option<String>,
    pub(crate) subject: String,
}

impl Patient {
    /// All is as it should be: the agent serves by all sources, and the config file has rotakey's line alone.
    pub(crate) fn healthy() -> Self {
        let world = World::with(serde_json::json!({"last_used_granularity": 1000}));
        world.lighten_keys();
        world.add();
        world.configure_agent(ANYWHERE, "imds = true\n");
        let agent = Some(world.agent());
        let patient = Self { world, agent, env: BTreeMap::new() };
        std::fs::create_dir(patient.home().join(".aws")).unwrap();
        patient.write(
            ".aws/config",
            &format!("[profile app]\nregion = us-east-1\n{}\n", patient.line()),
        );
        patient.set("AWS_EC2_METADATA_DISABLED", "true")
    }

    pub(crate) fn home(&self) -> &Path {
        self.world.home.path()
    }

    /// The line by which SDKs find rotakey.
    pub(crate) fn line(&self) -> String {
        let program = env!("CARGO_BIN_EXE_rotakey");
        format!("credential_process = {program} credential-process --profile app")
    }

    /// Writes a file of the user's.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        self.world.write(name, text);
        self.home().join(name)
    }

    /// Adds to the config file.
    pub(crate) fn append(&self, text: &str) {
        let path = self.home().join(".aws/config");
        let before = std::fs::read_to_string(&path).unwrap();
        self.write(".aws/config", &(before + text));
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn put(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// A command of this shell.
    pub(crate) fn command(&self, program: &str) -> Command {
        let bin = Path::new(env!("CARGO_BIN_EXE_rotakey")).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home())
            .env("ROTAKEY_HOME", self.home())
            .env("AWS_PROFILE", "app");
        for (name, value) in &self.env {
            match value.as_str() {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        command
    }

    /// What `rotakey` says with these arguments: exit code, output, talk.
    pub(crate) fn rotakey(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.command(env!("CARGO_BIN_EXE_rotakey")).args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// `doctor --json`: the exit code, and what was found by each check.
    pub(crate) fn doctor(&self, args: &[&str]) -> (i32, Vec<(String, Finding)>) {
        let args = [&["doctor", "--json"], args].concat();
        let (code, stdout, stderr) = self.rotakey(&args);
        let said: Value = serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {code} {stdout} {stderr}"));
        let text = |check: &Value, name: &str| check[name].as_str().map(str::to_owned);
        let findings = said["checks"].as_array().unwrap().iter().map(|check| {
            let finding = Finding {
                verdict: text(check, "verdict").unwrap(),
                found: text(check, "found").unwrap(),
                hint: text(check, "hint"),
                command: text(check, "command"),
                subject: text(check, "subject").unwrap_or_default(),
            };
            (text(check, "id").unwrap(), finding)
        });
        (code, findings.collect())
    }

    /// Does what `doctor` says, in this shell.
    pub(crate) fn follow(&mut self, command: &str) {
        let script = format!("{command}\nstatus=$?\nenv -0 >\"$0\"\nexit $status");
        let after = self.home().join("environment");
        let output = self.command("bash").args(["-c", &script]).arg(&after).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        let after = std::fs::read(after).unwrap();
        let mut env = BTreeMap::new();
        for pair in after.split(|byte| *byte == 0).filter(|pair| !pair.is_empty()) {
            let pair = String::from_utf8(pair.to_vec()).unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            env.insert(name.to_owned(), value.to_owned());
        }
        // What the command took away is gone.
        for name in self.env.keys().chain([&"AWS_PROFILE".to_owned()]) {
            env.entry(name.clone()).or_default();
        }
        env.retain(|name, _| {
            name.starts_with("AWS_")
                || name.to_lowercase().ends_with("_proxy")
                || self.env.contains_key(name)
        });
        self.env = env;
    }
}
