//! The three sources, and the environment in which a program finds one of them: what a person would set.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A way in which programs get credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Process,
    Container,
    Imds,
}

impl Source {
    pub(crate) const ALL: [Self; 3] = [Self::Process, Self::Container, Self::Imds];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Container => "container",
            Self::Imds => "imds",
        }
    }
}

/// Where a source is, and where the API is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The API's endpoint: a server that stands in for AWS.
    pub(crate) api: String,
    /// The HTTP sources' endpoint, `http://127.0.0.1:PORT`.
    pub(crate) http: String,
    /// What the container source wants in `Authorization`.
    pub(crate) token: String,
    /// A file that holds it, for the clients that read only files.
    pub(crate) token_file: PathBuf,
    /// A configuration file whose profile `app` has a `credential_process`.
    pub(crate) config: PathBuf,
    /// A folder that is a program's home.
    pub(crate) home: PathBuf,
    /// How often botocore tries an answer of IMDS that broke off; once, if it is not told.
    pub(crate) imds_attempts: u8,
}

impl Place {
    /// Where nobody is.
    pub(crate) fn nowhere() -> Self {
        let (nobody, nothing) = ("http://127.0.0.1:9".to_owned(), PathBuf::from("/dev/null"));
        Self {
            api: nobody.clone(),
            http: nobody,
            token: String::new(),
            token_file: nothing.clone(),
            config: nothing.clone(),
            home: nothing,
            imds_attempts: 1,
        }
    }

    /// Gives a program the source, the API and nothing else of this machine's environment.
    pub(crate) fn environment(&self, command: &mut Command, source: Source) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", &self.api)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        match source {
            Source::Process => {
                command
                    .env("AWS_CONFIG_FILE", &self.config)
                    .env("AWS_PROFILE", "app")
                    .env("AWS_EC2_METADATA_DISABLED", "true");
            }
            // Some read the one, some the other: both are set, with the same token.
            Source::Container => {
                command
                    .env("AWS_CONFIG_FILE", "/dev/null")
                    .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.container_url())
                    .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", &self.token)
                    .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &self.token_file)
                    .env("AWS_EC2_METADATA_DISABLED", "true");
            }
            Source::Imds => {
                command
                    .env("AWS_CONFIG_FILE", "/dev/null")
                    // Debian's AWS CLI v2 forgets the slash; all others are content with either.
                    .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("{}/", self.http))
                    .env("AWS_METADATA_SERVICE_NUM_ATTEMPTS", self.imds_attempts.to_string());
            }
        }
    }

    pub(crate) fn container_url(&self) -> String {
        format!("{}/credentials/app", self.http)
    }
}

/// An AWS configuration whose profile `app` asks this program.
pub(crate) fn aws_config(program: &str) -> String {
    format!("[profile app]\nregion = us-east-1\ncredential_process = {program}\n")
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("it is there")
}

/// A port that nobody listens at just now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}
