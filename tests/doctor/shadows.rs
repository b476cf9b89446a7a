//! Case P: in environments where something shadows something else, real SDKs use what `doctor` says they would.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rotakey_agent::chains::{self, Answer, File, OlderFiles, SharedFiles};
use rotakey_agent::config::Env;
use rotakey_agent::shared_files::{Kind, Places};
use serde_json::Value;

use super::driver::Sdk;
use super::patient::Patient;
use super::support::venv;

/// A client that runs here, as `doctor` knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Sdk(Sdk),
    /// The AWS CLI: the pinned version 1, or Debian's version 2.
    Cli(&'static str),
}

impl Client {
    fn id(self) -> &'static str {
        match self {
            Self::Sdk(Sdk::Boto3) => "boto3",
            Self::Sdk(Sdk::Js) => "js",
            Self::Sdk(Sdk::Rust) => "rust",
            Self::Cli("aws") => "aws-cli-1",
            Self::Cli(_) => "aws-cli-2",
        }
    }

    /// The key that it signs with, if it finds one.
    fn signs_with(self, patient: &Patient) -> Option<String> {
        let environment = |command: &mut Command| {
            let of_shell = patient.command("true");
            command.env_clear();
            command.envs(of_shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command.env("AWS_ENDPOINT_URL", &patient.world.url);
            command.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
            command.env("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1");
        };
        match self {
            Self::Sdk(sdk) => {
                let mut command = sdk.command();
                environment(&mut command);
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
                let mut child = command.spawn().expect("it starts: make deps");
                child.stdin.take().unwrap().write_all(b"sts\n").unwrap();
                let output = child.wait_with_output().unwrap();
                let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
                answer["access_key_id"].as_str().map(str::to_owned)
            }
            Self::Cli(name) => {
                let program = if name == "aws" { venv().join("bin/aws") } else { name.into() };
                let mut command = Command::new(program);
                environment(&mut command);
                // It signs without asking anybody, and shows by which key.
                command.args(["s3", "presign", "s3://bucket/key"]).env("AWS_PAGER", "");
                let output = command.stdin(Stdio::null()).output().expect("it starts");
                let url = String::from_utf8(output.stdout).unwrap();
                let at = ["X-Amz-Credential=", "AWSAccessKeyId="];
                let id = at.iter().find_map(|name| url.split_once(name))?.1;
                Some(id.chars().take_while(char::is_ascii_alphanumeric).collect())
            }
        }
    }
}

/// The key that an answer comes to; `None` if there is none.
fn key_of(answer: &Answer, patient: &Patient) -> Option<String> {
    match answer {
        Answer::Key { access_key_id, .. } => Some(access_key_id.clone()),
        Answer::Process { line, .. } => {
            let output = patient.command("sh").args(["-c", line]).output().unwrap();
            let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
            answer["AccessKeyId"].as_str().map(str::to_owned)
        }
        Answer::Container { uri, .. } if uri.contains("169.254") => None,
        Answer::Container { .. } => session(patient),
        Answer::Imds { endpoint } if endpoint == chains::EC2 => None,
        Answer::Imds { .. } => session(patient),
        Answer::Session { .. } | Answer::Nothing | Answer::Fails { .. } => None,
    }
}

/// The session that the agent serves by its HTTP sources.
fn session(patient: &Patient) -> Option<String> {
    let status = patient.agent.as_ref().unwrap().status();
    let id = &status["profiles"]["app"]["temporary"]["access_key_id"];
    id.as_str().map(str::to_owned)
}

fn read(patient: &Patient) -> (Env, SharedFiles) {
    let mut env = Env::default();
    for (name, value) in patient.command("true").get_envs() {
        let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
        env = env.with(&text(name), value.map(text).as_deref());
    }
    let Places { credentials, config } = Places::from_env(&env).unwrap();
    let bytes = |path: &Path| std::fs::read(path).unwrap_or_default();
    let files = SharedFiles {
        credentials: File::read(Kind::Credentials, &credentials, &bytes(&credentials)),
        config: File::read(Kind::Config, &config, &bytes(&config)),
        older: OlderFiles::read(&env, |path| std::fs::read(path).ok()),
    };
    (env, files)
}

/// A `credential_process` that gives a key of this id.
fn gives(patient: &Patient, id: &str) -> String {
    let json = format!(r#"{{"Version": 1, "AccessKeyId": "{id}", "SecretAccessKey": "x"}}"#);
    let path = patient.write(id, &format!("#!/bin/sh\necho '{json}'\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    format!("credential_process = {}\n", path.display())
}

fn key(id: &str) -> String {
    format!("aws_access_key_id = {id}\naws_secret_access_key = x\n")
}

const STRANGER: &str = "AKIADOCTORSTRANGER01";
const OTHER: &str = "AKIADOCTOROTHERKEY02";

type Plant = fn(&mut Patient);

/// Environments in which something shadows something else.
const ALL: [(&str, Plant); 23] = [
    ("rotakey alone", |_| {}),
    ("a key in the environment, and a profile", |p| {
        p.put("AWS_ACCESS_KEY_ID", STRANGER);
        p.put("AWS_SECRET_ACCESS_KEY", "x");
    }),
    ("a key in the environment alone", |p| {
        p.put("AWS_PROFILE", "");
        p.put("AWS_ACCESS_KEY_ID", STRANGER);
        p.put("AWS_SECRET_ACCESS_KEY", "x");
    }),
    ("half a key in the environment", |p| {
        p.put("AWS_PROFILE", "");
        let line = p.line();
        p.append(&format!("[default]\n{line}\n"));
        p.put("AWS_ACCESS_KEY_ID", STRANGER);
    }),
    ("a key in the credentials file", |p| {
        p.write(".aws/credentials", &format!("[app]\n{}", key(STRANGER)));
    }),
    ("a key in the config file", |p| p.append(&key(STRANGER))),
    ("a key in both", |p| {
        p.append(&key(OTHER));
        p.write(".aws/credentials", &format!("[app]\n{}", key(STRANGER)));
    }),
    ("half a key in the credentials file", |p| {
        p.write(".aws/credentials", &format!("[app]\naws_access_key_id = {STRANGER}\n"));
    }),
    ("a line in the credentials file, too", |p| {
        let line = gives(p, STRANGER);
        p.write(".aws/credentials", &format!("[app]\n{line}"));
    }),
    ("a role", |p| {
        p.append(
            "role_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\n[profile base]\n",
        );
        p.append(&key(STRANGER));
    }),
    ("a web identity in the environment", |p| {
        let token = p.write("token-of-idp", "x");
        p.put("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap());
        p.put("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x");
    }),
    ("a web identity without an ARN", |p| {
        let token = p.write("token-of-idp", "x");
        p.put("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap());
    }),
    ("a key in default, which is not asked for", |p| {
        p.write(".aws/credentials", &format!("[default]\n{}", key(STRANGER)));
    }),
    ("no profile is named, and default has a key", |p| {
        p.put("AWS_PROFILE", "");
        p.write(".aws/credentials", &format!("[default]\n{}", key(STRANGER)));
    }),
    ("two variables for the profile", |p| {
        p.put("AWS_DEFAULT_PROFILE", "other");
        let line = gives(p, OTHER);
        p.append(&format!("[profile other]\n{line}"));
    }),
    ("a profile that is not there", |p| p.put("AWS_PROFILE", "absent")),
    ("a section twice", |p| {
        p.append("[profile app]\nregion = us-east-1\n");
    }),
    ("the container endpoint", |p| {
        p.follow("eval \"$(rotakey env app --source container)\"");
    }),
    ("boto's own file before the container endpoint", |p| {
        p.follow("eval \"$(rotakey env app --source container)\"");
        p.write(".boto", &format!("[Credentials]\n{}", key(STRANGER)));
    }),
    ("a key file of the first EC2 tools", |p| {
        p.follow("eval \"$(rotakey env app --source container)\"");
        let text = format!("AWSAccessKeyId={STRANGER}\nAWSSecretKey=x\n");
        let path = p.write("keys", &text);
        p.put("AWS_CREDENTIAL_FILE", path.to_str().unwrap());
    }),
    ("the container endpoint, and a profile", |p| {
        p.follow("eval \"$(rotakey env app --source container)\"");
        for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            p.put(name, "");
        }
        p.put("AWS_PROFILE", "app");
    }),
    ("IMDS", |p| {
        let at = p.agent.as_ref().unwrap().listen();
        p.put("AWS_PROFILE", "");
        p.put("AWS_EC2_METADATA_DISABLED", "");
        p.put("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{at}/"));
    }),
    ("a config file elsewhere", |p| {
        let line = gives(p, OTHER);
        let path = p.write("elsewhere", &format!("[profile app]\n{line}"));
        p.put("AWS_CONFIG_FILE", path.to_str().unwrap());
    }),
];

#[test]
fn real_sdks_use_what_doctor_says() {
    let mut clients = vec![
        Client::Sdk(Sdk::Boto3),
        Client::Sdk(Sdk::Js),
        Client::Sdk(Sdk::Rust),
        Client::Cli("aws"),
    ];
    // `make clients` installs it.
    if Path::new("/usr/bin/aws").exists() {
        clients.push(Client::Cli("/usr/bin/aws"));
    } else {
        eprintln!("not run: AWS CLI v2, as /usr/bin/aws is not there (make clients)");
    }
    let differing: Vec<String> = std::thread::scope(|scope| {
        let clients = &clients;
        let some = ALL.chunks(ALL.len().div_ceil(2));
        let threads: Vec<_> = some
            .map(|some| {
                scope.spawn(move || {
                    some.iter().flat_map(|one| compare(one, clients)).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    });
    assert!(differing.is_empty(), "{differing:#?}");
}

fn compare((name, plant): &(&str, Plant), clients: &[Client]) -> Vec<String> {
    let mut patient = Patient::healthy();
    plant(&mut patient);
    let (env, files) = read(&patient);
    let mut seen: BTreeMap<&str, (Option<String>, Option<String>)> = BTreeMap::new();
    let mut differing = Vec::new();
    for client in clients {
        let sdk = chains::ALL.iter().find(|sdk| sdk.id == client.id()).expect("known");
        let answer = chains::answer(sdk, &env, &files);
        let (said, is) = (key_of(&answer, &patient), client.signs_with(&patient));
        if said != is {
            differing.push(format!("{name}, {}: said {said:?} ({answer:?}), is {is:?}", sdk.name));
        }
        seen.insert(sdk.id, (said, is));
    }
    differing
}
