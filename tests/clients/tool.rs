//! Programs that end after each request, and one that stays: what people have installed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::sources::{Place, Source, free_port};
use super::support::venv;

/// A program whose next request is made by its next process, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The AWS command line, version 1, from PyPI.
    Aws1,
    /// Version 2, Debian's.
    Aws2,
    Rclone,
    /// `rclone serve http`: one process, with one session of the AWS SDK for Go v1, for all requests.
    RcloneServe,
    Restic,
    /// GDAL's `ogrinfo`.
    Gdal,
    S3cmd,
}

impl Tool {
    pub(crate) const ALL: [Self; 7] = [
        Self::Aws1,
        Self::Aws2,
        Self::Rclone,
        Self::RcloneServe,
        Self::Restic,
        Self::Gdal,
        Self::S3cmd,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Aws1 => "AWS CLI v1",
            Self::Aws2 => "AWS CLI v2",
            Self::Rclone => "rclone",
            Self::RcloneServe => "rclone serve",
            Self::Restic => "restic",
            Self::Gdal => "GDAL",
            Self::S3cmd => "s3cmd",
        }
    }

    /// The sources that it knows.
    pub(crate) const fn sources(self) -> &'static [Source] {
        match self {
            Self::Aws1 | Self::Aws2 | Self::Rclone | Self::RcloneServe => &Source::ALL,
            // minio-go: no credential_process in this version; the address of IMDS is built in.
            Self::Restic => &[Source::Container],
            // No credential_process; the container endpoint only at its built-in address.
            Self::Gdal => &[Source::Imds],
            // By a wrapper that hands the answer over in the environment; the address of IMDS is built in.
            Self::S3cmd => &[Source::Process],
        }
    }

    pub(crate) fn version(self) -> String {
        let (program, argument) = match self {
            Self::Restic => (self.program(), "version"),
            _ => (self.program(), "--version"),
        };
        let output = Command::new(&program).arg(argument).env("HOME", "/nonexistent").output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}: make clients-deps"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = text.split(|c: char| c.is_whitespace() || c == '/' || c == ',');
        let mut numbers = words.map(|word| word.trim_start_matches('v'));
        let found = numbers.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        found.unwrap_or("?").to_owned()
    }

    fn program(self) -> String {
        match self {
            Self::Aws1 => venv().join("bin/aws").display().to_string(),
            Self::Aws2 => "/usr/bin/aws".to_owned(),
            Self::Rclone | Self::RcloneServe => "/usr/bin/rclone".to_owned(),
            Self::Restic => "/usr/bin/restic".to_owned(),
            Self::Gdal => "/usr/bin/ogrinfo".to_owned(),
            Self::S3cmd => "/usr/bin/s3cmd".to_owned(),
        }
    }

    /// One request, as a process of its own.
    fn command(self, source: Source, place: &Place, n: u64) -> Command {
        let mut command = Command::new(self.program());
        place.environment(&mut command, source);
        let host = place.api.trim_start_matches("http://");
        match self {
            Self::Aws1 | Self::Aws2 => {
                // Debian's knows no AWS_ENDPOINT_URL.
                command
                    .args(["--endpoint-url", &place.api])
                    .env("AWS_PAGER", "")
                    .env("AWS_MAX_ATTEMPTS", "1");
                match n % 2 {
                    0 => command.args(["sts", "get-caller-identity"]),
                    _ => command.args([
                        "s3api",
                        "head-object",
                        "--bucket",
                        "bucket",
                        "--key",
                        "note.csv",
                    ]),
                };
            }
            Self::Rclone => {
                rclone(&mut command, place);
                command.args([
                    "--retries",
                    "1",
                    "--low-level-retries",
                    "1",
                    "cat",
                    "s:bucket/note.csv",
                ]);
            }
            Self::RcloneServe => {
                rclone(&mut command, place);
                command.args(["--low-level-retries", "1", "serve", "http", "--addr"]);
            }
            Self::Restic => {
                let repository = format!("s3:{}/bucket/restic", place.api);
                command
                    .args(["--no-cache", "--repo", &repository])
                    .env("RESTIC_PASSWORD", "a password");
                match n {
                    0 => command.arg("init"),
                    _ => command.args(["--no-lock", "list", "snapshots"]),
                };
            }
            Self::Gdal => {
                command
                    .args(["-ro", "-q", "/vsis3/bucket/note.csv"])
                    .env("AWS_S3_ENDPOINT", host)
                    .env("AWS_HTTPS", "NO")
                    .env("AWS_VIRTUAL_HOSTING", "FALSE")
                    .env("CPL_AWS_AUTODETECT_EC2", "NO")
                    .env("CPL_AWS_EC2_API_ROOT_URL", &place.http)
                    .env("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR");
            }
            Self::S3cmd => {
                let (host, bucket) = (format!("--host={host}"), format!("--host-bucket={host}"));
                command.args([&host, &bucket, "--no-ssl", "--region=us-east-1"]);
                command.args(["--config=/dev/null", "info", "s3://bucket/note.csv"]);
                command.env_remove("AWS_PROFILE").envs(handed_over(place));
            }
        }
        command
    }
}

fn rclone(command: &mut Command, place: &Place) {
    command
        .env("AWS_SDK_LOAD_CONFIG", "1")
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_CONFIG_S_TYPE", "s3")
        .env("RCLONE_CONFIG_S_PROVIDER", "Other")
        .env("RCLONE_CONFIG_S_ENV_AUTH", "true")
        .env("RCLONE_CONFIG_S_REGION", "us-east-1")
        .env("RCLONE_CONFIG_S_ENDPOINT", &place.api);
}

/// What a wrapper around a program does that knows no source: it asks `credential-process` itself.
fn handed_over(place: &Place) -> Vec<(&'static str, String)> {
    let output = Command::new(place.home.join("credential-process")).output().expect("it starts");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let names = [
        ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
        ("AWS_SESSION_TOKEN", "SessionToken"),
    ];
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    names.iter().filter_map(|(variable, name)| Some((*variable, text(name)?))).collect()
}

/// A tool at work.
pub(crate) struct Worker {
    tool: Tool,
    source: Source,
    place: Place,
    n: u64,
    served: Option<(Child, u16)>,
}

impl Worker {
    pub(crate) fn new(tool: Tool, source: Source, place: &Place) -> Self {
        let mut worker = Self { tool, source, place: place.clone(), n: 0, served: None };
        if tool == Tool::RcloneServe {
            let port = free_port();
            let mut command = tool.command(source, place, 0);
            command.arg(format!("127.0.0.1:{port}")).arg("s:bucket");
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            worker.served = Some((child.expect("rclone starts: make clients-deps"), port));
            let since = Instant::now();
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(since.elapsed() < Duration::from_secs(20), "rclone does not serve");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        worker
    }

    /// One request: what went wrong, if something did.
    pub(crate) fn request(&mut self) -> Result<(), String> {
        let n = self.n;
        self.n += 1;
        if let Some((_, port)) = &self.served {
            return fetch(*port).map_err(|error| error.to_string());
        }
        let output: Output = self
            .tool
            .command(self.source, &self.place, n)
            .stdin(Stdio::null())
            .output()
            .expect("it starts: make clients-deps");
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(String::from_utf8_lossy(&text).trim().chars().take(400).collect())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.served {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn fetch(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /note.csv HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.ends_with("1,2\n") {
        true => Ok(()),
        false => Err(std::io::Error::other(answer.lines().next().unwrap_or("nothing").to_owned())),
    }
}
