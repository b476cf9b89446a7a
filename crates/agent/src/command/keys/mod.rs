//! `keys`: the access keys of IAM users, as IAM has them. Steps 1 and 2 of rotating by hand.

mod show;

use std::collections::BTreeMap;

use rotakey_core::credential::{Credentials, KeyStatus};
use rotakey_core::iam::{LastUsed, ListedKey, Outcome, RefusalClass};

use self::show::{Form, Summary};
use super::scan::wanted;
use crate::app::App;
use crate::cli::args::KeysArgs;
use crate::clock::Clock;
use crate::failure::expect;
use crate::failure::{Exit, Failed};
use crate::iam::KeyService;
use crate::iam::aws::AwsKeyService;
use crate::iam::patience::patiently;

/// A key, and what is known of it.
pub(super) struct Row {
    key: ListedKey,
    used: Result<Option<LastUsed>, String>,
    /// The profile of this installation that it is the key of, and as what.
    ours: Option<(String, &'static str)>,
}

/// A user.
pub(super) struct User {
    name: String,
    rows: Vec<Row>,
    /// Installations of rotakey that rotate this user's keys, by their tags; or why nobody can tell.
    installs: Result<Vec<String>, String>,
}

impl User {
    fn active(&self) -> usize {
        self.rows.iter().filter(|row| row.key.status == KeyStatus::Active).count()
    }
}

/// Runs it.
pub async fn run(app: &App, args: &KeysArgs) -> Result<(), Failed> {
    let settings = app.settings()?;
    let keystore = app.keystore()?;
    let signer = super::mfa::iam_signer(app, &settings, keystore.as_ref()).await?;
    let service = app.service(&settings);
    let own = app.status()?.enrolment.map(|e| e.user).unwrap_or_default();
    let names = if args.all_users {
        app.printer.progress("listing users");
        expect("iam:ListUsers", service.list_users(&signer).await)?
    } else {
        vec![args.user.clone().unwrap_or(own)]
    };
    app.printer.progress_done();
    let now = app.clock.now().wall;
    let reader = Reader { service: &service, signer: &signer, ours: ours(app)? };
    let mut summary = Summary::default();
    let form = Form::of(app.printer.data_columns());
    let mut is_headed = args.json;
    for (n, name) in names.iter().enumerate() {
        if names.len() > 1 {
            app.printer.progress(&format!("{}/{} {name}", n + 1, names.len()));
        }
        let user = match reader.user(name).await {
            Ok(user) => user,
            // One of many must not hide the others.
            Err(Unread::Gone) if args.all_users => continue,
            Err(unread) if args.all_users => {
                summary.unread(name, unread.why(name));
                continue;
            }
            Err(unread) => return Err(unread.failed(name)),
        };
        summary.count(&user, now);
        app.printer.progress_done();
        // Not above an error.
        if !is_headed {
            app.printer.data(&form.header());
            is_headed = true;
        }
        let lines = if args.json { show::json(&user, now) } else { form.text(&user, now) };
        lines.iter().for_each(|line| app.printer.data(line));
    }
    app.printer.progress_done();
    if args.all_users {
        summary.root = Some(reader.root().await);
        if args.json {
            app.printer.data(&summary.json());
        }
    }
    if !args.json {
        app.printer.say(&summary.text());
    }
    summary.whole()
}

/// The keys of this installation: which profile's, and as what.
fn ours(app: &App) -> Result<BTreeMap<String, (String, &'static str)>, Failed> {
    use wanted::Stage::{Current, Orphan, Pending, Previous};
    let keys = wanted::all(app, &[])?.into_iter();
    let keys = keys.filter(|key| matches!(key.stage, Current | Previous | Pending | Orphan));
    Ok(keys.filter_map(|key| Some((key.id, (key.profile?, key.stage.name())))).collect())
}

/// Why a user could not be read.
enum Unread {
    /// Deleted since the list.
    Gone,
    Failed(Failed),
}

impl Unread {
    fn failed(self, name: &str) -> Failed {
        match self {
            Self::Failed(failed) => failed,
            Self::Gone => Failed::new(Exit::Refused, format!("there is no IAM user {name}"))
                .hint("`rotakey keys --all-users` lists them"),
        }
    }

    fn why(self, name: &str) -> String {
        self.failed(name).message
    }
}

/// Reads users, patiently.
struct Reader<'a> {
    service: &'a AwsKeyService,
    signer: &'a Credentials,
    ours: BTreeMap<String, (String, &'static str)>,
}

impl Reader<'_> {
    async fn user(&self, name: &str) -> Result<User, Unread> {
        let list = patiently(async || self.service.list_access_keys(self.signer, name).await).await;
        if let Outcome::Refused(refusal) = &list
            && refusal.class == RefusalClass::NoSuchEntity
        {
            return Err(Unread::Gone);
        }
        let list = expect("iam:ListAccessKeys", list).map_err(Unread::Failed)?;
        let mut rows = Vec::new();
        for key in list.keys {
            let id = &key.access_key_id;
            let used = patiently(async || self.service.access_key_last_used(self.signer, id).await);
            let used = known(used.await);
            let ours = self.ours.get(id.as_str()).cloned();
            rows.push(Row { key, used, ours });
        }
        let installs = if rows.is_empty() {
            Ok(Vec::new())
        } else {
            let tags = patiently(async || self.service.user_tags(self.signer, name).await).await;
            let names = |tags: Vec<(String, String)>| tags.into_iter().map(|(name, _)| name);
            known(tags).map(|tags| names(tags).filter(|tag| tag.starts_with("rotakey:")).collect())
        };
        Ok(User { name: name.to_owned(), rows, installs })
    }

    /// Whether root has keys; or why nobody can tell.
    async fn root(&self) -> Result<bool, String> {
        known(patiently(async || self.service.root_has_keys(self.signer).await).await)
    }
}

/// The value, or in a word why there is none.
fn known<T>(outcome: Outcome<T>) -> Result<T, String> {
    match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Refused(refusal) => Err(refusal.code),
        Outcome::Unknown(doubt) => Err(doubt.reason),
    }
}
