//! `rotate --user NAME --as PROFILE`: an administrator rotates somebody else's key.
//!
//! The new key goes to standard output once, and to nowhere else. The old one goes later, by the same command again, as
//! only its user can tell that it is not needed any more.

mod create;
mod record;
mod retire;

use rotakey_core::credential::Credentials;
use rotakey_core::iam::{KeyList, LastUsed};

use self::record::{Memory, Stage};
use super::mfa;
use crate::app::App;
use crate::cli::args::RotateArgs;
use crate::config::ProfileSettings;
use crate::failure::expect;
use crate::failure::{Exit, Failed};
use crate::iam::KeyService;
use crate::iam::aws::AwsKeyService;

/// The arguments of `rotate` for somebody else's key.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AdminArgs {
    /// Somebody else's key: the IAM user
    #[arg(long, value_name = "NAME", requires = "signer", conflicts_with_all = ["name", "all", "dry_run", "compromised"])]
    pub user: Option<String>,
    /// The profile of the administrator who does it
    #[arg(long = "as", value_name = "PROFILE", requires = "user")]
    pub signer: Option<String>,
    /// How the new key is printed
    #[arg(long, value_enum, default_value_t = Output::Process, requires = "user")]
    pub output: Output,
    /// Do not wait until the new key is seen used and the old one is not
    #[arg(long, requires = "user")]
    pub yes: bool,
}

/// A form in which a key is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// As a `credential_process` prints it
    #[default]
    Process,
    /// `AWS_ACCESS_KEY_ID=...`, for a file of variables
    Env,
    /// One flat object of texts
    Json,
}

/// What every step needs.
struct Desk<'a> {
    app: &'a App,
    settings: ProfileSettings,
    service: AwsKeyService,
    signer: Credentials,
    user: String,
    args: &'a AdminArgs,
}

/// Runs it: as far as it goes now.
pub async fn run(app: &App, args: &RotateArgs) -> Result<(), Failed> {
    let user = args.admin.user.clone().unwrap_or_default();
    let whose = app.status()?.enrolment;
    let whose = whose.ok_or_else(|| Failed::new(Exit::Usage, "the profile has no key"))?;
    if whose.user == user {
        let message = format!("{user} is the user of {} itself", app.profile);
        return Err(
            Failed::new(Exit::Usage, message).hint(format!("`rotakey rotate {}`", app.profile))
        );
    }
    if let Some(profile) = managed(app, &whose.account_id, &user)? {
        let message = format!("the key of {user} is rotated here already, as profile {profile}");
        return Err(Failed::new(Exit::Usage, message).hint(format!("`rotakey rotate {profile}`")));
    }
    let settings = app.settings()?;
    let keystore = app.keystore()?;
    let signer = mfa::iam_signer(app, &settings, keystore.as_ref()).await?;
    let service = app.service(&settings);
    let desk = Desk { app, settings, service, signer, user, args: &args.admin };
    let mut memory = Memory::open(app, &whose.account_id, &desk.user)?;
    // Each step either ends the run, or leads to the next one.
    while desk.step(&mut memory, args.incident.access_key_id.as_ref()).await? == Then::GoOn {}
    Ok(())
}

/// What follows a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Done,
}

impl Desk<'_> {
    async fn step(
        &self,
        memory: &mut Memory,
        named: Option<&rotakey_core::credential::AccessKeyId>,
    ) -> Result<Then, Failed> {
        match memory.stage.clone() {
            None => self.begin(memory, named).await,
            Some(Stage::Intended { known, sent, clock_offset_ms, .. }) => {
                self.reconcile(memory, &known, sent, clock_offset_ms).await
            }
            Some(Stage::Unheld { id, inactive, probed_until }) => {
                self.fence(memory, id, inactive, probed_until).await
            }
            Some(Stage::Made { new, .. }) => self.unmake(memory, new).await,
            Some(Stage::Handed { old, new, since, probed_until, printed }) => {
                self.retire(memory, old, new, retire::Handed { since, probed_until, printed }).await
            }
            Some(Stage::Deactivated { old, new, at }) => self.delete(memory, old, new, at).await,
        }
    }

    async fn list(&self) -> Result<KeyList, Failed> {
        let list = self.service.list_access_keys(&self.signer, &self.user).await;
        expect("iam:ListAccessKeys", list)
    }

    async fn last_used(
        &self,
        id: &rotakey_core::credential::AccessKeyId,
    ) -> Result<Option<LastUsed>, Failed> {
        let used = self.service.access_key_last_used(&self.signer, id).await;
        expect("iam:GetAccessKeyLastUsed", used)
    }

    /// The same command, for later.
    fn again(&self) -> String {
        format!("rotakey rotate --user {} --as {}", self.user, self.app.profile)
    }

    fn audit(&self, act: &str, id: &rotakey_core::credential::AccessKeyId) -> Result<(), Failed> {
        let detail = format!("of {}, as {}", self.user, self.app.profile);
        self.app.audit().record(act, &self.app.profile, Some(id), &detail).map_err(|error| {
            Failed::new(Exit::Failed, format!("the audit trail is not written: {error}"))
                .hint("make room on the disk; the same command then goes on")
        })
    }
}

/// The profile of this installation whose key is that user's.
fn managed(app: &App, account_id: &str, user: &str) -> Result<Option<String>, Failed> {
    for name in app.managed()? {
        let (_, status) = app.for_profile(&name).state()?.read()?;
        let is_of = |whose: &rotakey_core::journal::Enrolment| {
            whose.user == user && whose.account_id == account_id
        };
        if status.enrolment.as_ref().is_some_and(is_of) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
