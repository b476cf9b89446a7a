//! A world with shared files, and those who read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::support::{Run, World, venv};

/// A world with shared files and some keys.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) credentials: PathBuf,
    pub(crate) config: PathBuf,
    /// (id, secret) by the name that files call them by.
    pub(crate) keys: BTreeMap<&'static str, (String, String)>,
}

impl Stage {
    /// Files made of these texts: `<ID1>` and `<SECRET1>` become the first key, and so on up to 3; `<URL>` the simulator's.
    /// `<OLDID>` and `<OLDSECRET>` are a key that AWS does not know.
    pub(crate) fn new(credentials: &[u8], config: &[u8]) -> Self {
        let world = World::new();
        world.lighten_keys();
        let mut keys = BTreeMap::new();
        keys.insert("1", (world.id.clone(), world.secret.clone()));
        for name in ["2", "3"] {
            let user = format!("user{name}");
            world.control(json!({"op": "create-user", "user": user}));
            let key = world.control(json!({"op": "create-key", "user": user}));
            let text = |name: &str| key[name].as_str().unwrap().to_owned();
            keys.insert(name, (text("access_key_id"), text("secret_access_key")));
        }
        let folder = world.home.path().join("aws");
        std::fs::create_dir(&folder).unwrap();
        let stage = Self {
            credentials: folder.join("credentials"),
            config: folder.join("config"),
            world,
            keys,
        };
        for (path, bytes) in [(&stage.credentials, credentials), (&stage.config, config)] {
            if !bytes.is_empty() {
                std::fs::write(path, stage.filled(bytes)).unwrap();
                chmod(path, 0o600);
            }
        }
        stage
    }

    /// The text with the keys put in.
    pub(crate) fn filled(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let mut put = |name: &str, value: &str| {
            while let Some(at) = bytes.windows(name.len()).position(|w| w == name.as_bytes()) {
                bytes.splice(at..at + name.len(), value.bytes());
            }
        };
        for (name, (id, secret)) in &self.keys {
            put(&format!("<SECRET{name}>"), secret);
            put(&format!("<ID{name}>"), id);
        }
        put("<OLDSECRET>", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        put("<OLDID>", "AKIAIOSFODNN7EXAMPLE");
        put("<URL>", &self.world.url);
        bytes
    }

    pub(crate) fn secret(&self, name: &str) -> &str {
        &self.keys[name].1
    }

    pub(crate) fn id(&self, name: &str) -> &str {
        &self.keys[name].0
    }

    /// What every program in this world has in its environment.
    pub(crate) fn environ(&self, command: &mut Command) {
        command
            .env("ROTAKEY_HOME", self.world.home.path())
            .env("HOME", self.world.home.path())
            .env("AWS_SHARED_CREDENTIALS_FILE", &self.credentials)
            .env("AWS_CONFIG_FILE", &self.config)
            .env("AWS_ENDPOINT_URL", &self.world.url)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE");
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command();
        self.environ(&mut command);
        command.args(args).stdin(std::process::Stdio::null());
        command
    }

    pub(crate) fn rotakey(&self, args: &[&str]) -> Run {
        self.command(args).output().unwrap().into()
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> Run {
        let run = self.rotakey(args);
        assert_eq!(run.code, code, "rotakey {args:?}: {run:?}");
        run
    }

    /// What botocore reads, and who it takes each of these profiles for; every profile, if none is named.
    pub(crate) fn answers(&self, lenient: bool, names: &[&str]) -> Value {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/import/answers.py");
        let mut command = Command::new(venv().join("bin/python"));
        command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        self.environ(&mut command);
        if lenient {
            command.env("LENIENT", "1");
        }
        let output = command.arg(script).args(names).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let why = String::from_utf8_lossy(&output.stderr);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{why}"))
    }

    /// The AWS CLI's answer.
    pub(crate) fn aws(&self, args: &[&str]) -> Run {
        let mut command = Command::new(venv().join("bin/aws"));
        command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        self.environ(&mut command);
        command.env("AWS_DEFAULT_REGION", "us-east-1").args(args).output().unwrap().into()
    }

    pub(crate) fn read(&self, path: &Path) -> Vec<u8> {
        std::fs::read(path).unwrap_or_default()
    }

    /// The files of the folder that are nobody's.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.credentials.parent().unwrap()).unwrap();
        let paths = folder.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().contains("rotakey-new")).collect()
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().mode() & 0o7777
}
