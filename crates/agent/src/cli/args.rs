//! The verbs and their arguments.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::command::export::ExportArgs;
use crate::command::history::HistoryArgs;
use crate::command::import::ImportArgs;
use crate::command::status::StatusArgs;
use crate::engine::Milestone;

/// What every verb takes stands behind what is its own.
const LAST: usize = 1000;

/// Rotates AWS IAM access keys, and hands the current one to the programs of this machine.
#[derive(Debug, Parser)]
#[command(
    name = "rotakey",
    version,
    disable_help_flag = true,
    after_help = "First: rotakey add default\nThen:  rotakey rotate\n`rotakey` alone says what to do next."
)]
pub struct Arguments {
    /// The profile [default: $AWS_PROFILE, then "default"]
    #[arg(long, global = true, value_name = "NAME", display_order = LAST)]
    pub profile: Option<String>,
    /// Say more on standard error; -vv, -vvv: more still
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = LAST + 1)]
    pub verbose: u8,
    /// Print help; more: `rotakey help VERB`
    // Short with `--help`, too: what each value means would fill the screen.
    #[arg(short, long, global = true, action = clap::ArgAction::HelpShort, display_order = LAST + 2)]
    pub help: Option<bool>,
    /// What to do; without one, what to do next is said.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What rotakey can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Take a key over: check it with AWS, store its secret
    #[command(
        after_help = "Example: rotakey add deploy --access-key-id AKIA... --region eu-west-1"
    )]
    Add(AddArgs),
    /// Take keys out of ~/.aws; programs go on getting them
    #[command(
        after_help = "Example: rotakey import --all --dry-run\n         rotakey import --all"
    )]
    Import(ImportArgs),
    /// Print the key of a profile: others may hold it then
    #[command(after_help = "Example: rotakey export deploy")]
    Export(ExportArgs),
    /// Give a profile up; its key stays as it is in IAM
    #[command(after_help = "Example: rotakey remove deploy --yes")]
    Remove {
        /// The profile
        name: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Rotate the key now
    #[command(
        after_help = "Example: rotakey rotate deploy --wait deleted\nIt leaked: rotakey rotate deploy --compromised\nAnother user's: rotakey rotate --user alice --as admin --output env"
    )]
    Rotate(RotateArgs),
    /// Serve the previous key again, until it is deleted
    #[command(after_help = "Example: rotakey undo deploy")]
    Undo {
        /// The profile
        name: Option<String>,
        /// Also if the previous key leaked
        #[arg(long)]
        force: bool,
    },
    /// Go on with a rotation that was left behind, or is stuck
    #[command(after_help = "Example: rotakey resume deploy --wait deleted")]
    Resume {
        /// The profile
        name: Option<String>,
        /// How far to go
        #[arg(long, value_enum, default_value_t = Milestone::Published)]
        wait: Milestone,
        /// Deactivate the old key although it is used from outside, as far as you were told; at a terminal it does anyway
        #[arg(long)]
        despite_use: bool,
    },
    /// Give up a rotation whose new key is not published yet
    #[command(after_help = "Example: rotakey abort deploy")]
    Abort {
        /// The profile
        name: Option<String>,
    },
    /// Serve programs and rotate keys, in the foreground
    #[command(
        after_help = "Example: rotakey agent\nSIGHUP reads the configuration again, SIGTERM ends it in order."
    )]
    Agent,
    /// Have the agent run whenever its user does
    #[command(after_help = "Example: rotakey service install", subcommand)]
    Service(crate::command::service::ServiceVerb),
    /// Run a program that gets its key from rotakey alone
    #[command(after_help = "Example: rotakey exec deploy -- aws s3 ls")]
    Exec(ExecArgs),
    /// Print the variables by which an SDK finds rotakey
    #[command(after_help = "Example: eval \"$(rotakey env deploy)\"")]
    Env(EnvArgs),
    /// Print a URL to get, put or delete one object of S3
    #[command(
        after_help = "Example: rotakey presign deploy s3://bucket/key --expires-in 3600\n         rotakey presign 'http://127.0.0.1:25000/bucket/key?X-Amz-Algorithm=...'   # a URL that a program signed for the proxy"
    )]
    Presign(crate::command::presign::PresignArgs),
    /// Replace the container token and the proxy's placeholders
    ///
    /// The old ones are worth nothing from then on.
    #[command(after_help = "Example: rotakey revoke deploy")]
    Revoke {
        /// The profile
        name: Option<String>,
    },
    /// Keys, ages, the rotation under way and what it waits for
    #[command(
        after_help = "Example: rotakey status --watch\n         rotakey status deploy --json"
    )]
    Status(StatusArgs),
    /// Does every program here get its key from rotakey?
    #[command(
        after_help = "Example: rotakey doctor deploy\nExit code: 0 nothing bad, 1 something bad, 5 no keystore or no agent where one is needed"
    )]
    Doctor(crate::command::doctor::DoctorArgs),
    /// What was done, and when; receipts; is the record whole?
    #[command(
        after_help = "Example: rotakey history deploy --json\n         rotakey history deploy --receipts\n         rotakey history --verify"
    )]
    History(HistoryArgs),
    /// Access keys of IAM users, as IAM has them
    #[command(after_help = "Example: rotakey keys --all-users")]
    Keys(KeysArgs),
    /// Find copies of the managed keys in files and processes
    #[command(after_help = crate::command::scan::places::help())]
    Scan(crate::command::scan::ScanArgs),
    /// Print the credential for an SDK (`credential_process`)
    #[command(
        after_help = "Example, in ~/.aws/config:\n  [profile deploy]\n  credential_process = /usr/bin/rotakey credential-process --profile deploy"
    )]
    CredentialProcess,
    /// Give an MFA code, or keep the device's seed for codes
    #[command(
        after_help = "Example: rotakey mfa deploy\n         rotakey mfa deploy --totp-seed-stdin < seed"
    )]
    Mfa(MfaArgs),
    /// Print completions for a shell
    #[command(
        after_help = "Example: rotakey completions bash > ~/.local/share/bash-completion/completions/rotakey"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write them all
    #[command(
        after_help = "Example: rotakey man | man -l -\n         rotakey man --dir ~/.local/share/man/man1"
    )]
    Man(crate::command::man::ManArgs),
    /// Watch a whole rotation: no AWS account, half a minute
    #[cfg(feature = "demo")]
    #[command(after_help = "Example: rotakey demo")]
    Demo,
    /// Run the embedded simulator of IAM and STS by itself
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    Simulator {
        /// The address to listen on; port 0 takes a free one
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: std::net::SocketAddr,
    },
}

/// The arguments of `add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The profile to make
    pub name: Option<String>,
    /// The access key id; asked for if absent
    #[arg(long, value_name = "ID")]
    pub access_key_id: Option<String>,
    /// Read the secret access key from standard input
    #[arg(long)]
    pub secret_stdin: bool,
    /// The home region
    #[arg(long)]
    pub region: Option<String>,
    /// The IAM user's name, to be sure
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// An IAM- and STS-compatible server
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
}

/// The arguments of `rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The profile
    pub name: Option<String>,
    /// All profiles, one after the other
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
    /// How far to go
    #[arg(long, value_enum, default_value_t = Milestone::Published)]
    pub wait: Milestone,
    /// Only check, and print the plan
    #[arg(long)]
    pub dry_run: bool,
    /// A key that leaked.
    #[command(flatten)]
    pub incident: crate::command::incident::IncidentArgs,
    /// Somebody else's key.
    #[command(flatten)]
    pub admin: crate::command::admin::AdminArgs,
}

/// A source that a program can be pointed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExecSource {
    /// `credential_process`, in an AWS configuration file made for it
    Process,
    /// The container endpoint
    Container,
    /// The re-signing proxy: the program gets a placeholder, and no key at all
    Proxy,
    /// The same, as HTTPS_PROXY alone: for what AWS_ENDPOINT_URL cannot reach. Wants `proxy_connect = true`
    Connect,
}

/// The arguments of `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The profile
    pub name: Option<String>,
    /// By which source [default: process]
    #[arg(long, value_enum)]
    pub source: Option<ExecSource>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}

/// How `env` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EnvFormat {
    /// For sh, bash, zsh: `eval "$(rotakey env P)"`
    Sh,
    /// For fish: `rotakey env P --format fish | source`
    Fish,
    /// One flat object of texts
    Json,
    /// For a unit's EnvironmentFile
    Systemd,
}

/// The arguments of `env`.
#[derive(Debug, Args)]
pub struct EnvArgs {
    /// The profile
    pub name: Option<String>,
    /// By which source [default: process]
    #[arg(long, value_enum)]
    pub source: Option<ExecSource>,
    /// In which form
    #[arg(long, value_enum, default_value_t = EnvFormat::Sh)]
    pub format: EnvFormat,
}

/// The arguments of `mfa`.
#[derive(Debug, Args)]
pub struct MfaArgs {
    /// The profile
    pub name: Option<String>,
    /// Read the code from standard input
    #[arg(long)]
    pub code_stdin: bool,
    /// Read the device's seed (Base32, "secret key") from standard input, and keep it in the keystore
    #[arg(long, conflicts_with = "code_stdin")]
    pub totp_seed_stdin: bool,
    /// Remove the seed from the keystore
    #[arg(long, conflicts_with_all = ["code_stdin", "totp_seed_stdin"])]
    pub forget: bool,
}

/// The arguments of `keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// One user [default: the profile's own]
    #[arg(long, value_name = "NAME", conflicts_with = "all_users")]
    pub user: Option<String>,
    /// Every user of the account
    #[arg(long)]
    pub all_users: bool,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
}
