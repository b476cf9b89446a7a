//! How a key comes to be ours: checked with AWS, its secret kept and read back, written into the journal. `add` and
//! `import` share it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, Generation};
use rotakey_core::iam::{CallerIdentity, Outcome};
use rotakey_core::journal::{Entry, Origin, Record};
use rotakey_core::lease::Ledger;
use rotakey_core::rotation;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, ProfileSettings};
use crate::failure::expect;
use crate::failure::{Exit, Failed};
use crate::iam::KeyService;
use crate::iam::aws::AwsKeyService;
use crate::store::disk;
use crate::store::durable::{Disk, Lock};
use crate::store::keystore::{self, Keystore, KeystoreError};
use crate::store::profile::ProfileState;

/// A key that AWS accepts, of an IAM user.
pub struct Checked {
    /// The key.
    pub credentials: Credentials,
    /// Whose it is.
    pub identity: CallerIdentity,
    /// The user's name.
    pub user: String,
    service: AwsKeyService,
}

/// One at a time takes keys over, from the look at who holds which to the last file: two profiles that managed one key
/// would rotate it away from each other. Gives back what is configured now, which another one may just have added to.
///
/// # Errors
///
/// If another one does not end.
pub fn alone(app: &App) -> Result<(App, Lock), Failed> {
    let path = app.paths.state.join("import.lock");
    let cannot = |error: std::io::Error| {
        Failed::new(Exit::Failed, format!("cannot use {}: {error}", path.display()))
            .hint("make the folder writable for you, or set ROTAKEY_HOME")
    };
    disk::create_private_dir(&app.paths.state).map_err(cannot)?;
    let patience = std::time::Duration::from_secs(5);
    let lock = disk::System.lock(&path, patience).map_err(cannot)?.ok_or_else(|| {
        Failed::new(Exit::Decide, "another `rotakey import` or `rotakey add` is at work")
            .hint("wait for it, then run this again")
    })?;
    let config = Arc::new(Config::load(&app.paths.config)?);
    Ok((App { config, ..app.clone() }, lock))
}

/// Asks AWS whose the key is.
///
/// # Errors
///
/// If AWS refuses it, or it is not an IAM user's.
pub async fn check(
    app: &App,
    settings: &ProfileSettings,
    credentials: Credentials,
) -> Result<Checked, Failed> {
    let id = &credentials.access_key_id;
    let service = app.service(settings);
    let identity = service.caller_identity(&credentials, &settings.region).await;
    let identity = expect("sts:GetCallerIdentity", identity)?;
    let Some(user) = identity.user_name().map(str::to_owned) else {
        let message = format!("{id} is not an IAM user's key: it belongs to {}", identity.arn);
        return Err(Failed::new(Exit::Usage, message)
            .hint("rotakey rotates keys of IAM users; root keys should be deleted, not rotated"));
    };
    Ok(Checked { credentials, identity, user, service })
}

impl Checked {
    /// Two installations on one user would take each other's keys away.
    pub async fn refuse_second_install(&self, ours: &str) -> Result<(), Failed> {
        let tags = self.service.user_tags(&self.credentials, &self.user).await;
        let Outcome::Done(tags) = tags else { return Ok(()) };
        let Some(other) = rotation::preflight::other_install(&tags, ours) else { return Ok(()) };
        let user = &self.user;
        let message = format!("another installation rotates the user {user}: tag {other}");
        Err(Failed::new(Exit::Decide, message).hint(format!(
            "add the key there; or, if that installation is gone: aws iam untag-user --user-name {user} --tag-keys {other}"
        )))
    }

    /// When it was created. Listing may not be allowed yet: `rotate --dry-run` says so. The key's age is then unknown.
    pub async fn created(&self) -> Option<Timestamp> {
        match self.service.list_access_keys(&self.credentials, &self.user).await {
            Outcome::Done(list) => {
                list.find(&self.credentials.access_key_id).map(|key| key.created)
            }
            _ => None,
        }
    }

    /// Lets any other installation see that this user's keys are ours to rotate. It may be denied: `rotate --dry-run`
    /// says so.
    pub async fn tag(&self, tag: &str) {
        let value = rotation::INSTALL_TAG_VALUE;
        let _ = self.service.tag_user(&self.credentials, &self.user, tag, value).await;
    }

    /// Keeps the secret, and writes down that the profile's key is ours. What was cut short goes on from there.
    pub fn keep(
        &self,
        app: &App,
        keystore: &dyn Keystore,
        created: Option<Timestamp>,
    ) -> Result<(), Failed> {
        let name = &app.profile;
        let Credentials { access_key_id: id, secret_access_key: secret, .. } = &self.credentials;
        let state = ProfileState::new(&app.paths.state, name);
        let current = state.read()?.1.current.map(|current| current.id);
        // Before the secret is anywhere: what is refused leaves nothing behind.
        if let Some(current) = current.as_ref().filter(|current| *current != id) {
            let message = format!("the state of {name} holds another key, {current}");
            let dir = state.dir().display();
            return Err(Failed::new(Exit::Usage, message)
                .hint(format!("choose another name, or move {dir} away")));
        }
        keystore::probe(keystore, name)?;
        keystore.put(id, secret)?;
        // From here on the other copies may go.
        if keystore.get(id)?.as_ref() != Some(secret) {
            let store = keystore.describe();
            let reason = format!("it gave back something else for {id} than was written");
            return Err(KeystoreError::Damaged { store, reason }.into());
        }
        let (_engine, mut journal) = state.lock()?;
        if journal.status().current.is_none() {
            let record = Record::Enrolled {
                access_key_id: id.clone(),
                account_id: self.identity.account_id.clone(),
                arn: self.identity.arn.clone(),
                user: self.user.clone(),
                created,
                origin: Origin::HandedOver,
            };
            journal.append(&Entry { time: app.clock.now().wall, rotation: None, record })?;
        }
        let now = app.clock.now().wall;
        state.update_ledger(|slot| {
            slot.get_or_insert_with(|| Ledger::new(id.clone(), Generation(1), now));
        })?;
        Ok(())
    }
}

/// Which profile manages which key: those served, and those of rotations under way.
pub fn holders(app: &App) -> Result<BTreeMap<AccessKeyId, String>, Failed> {
    let mut holders = BTreeMap::new();
    for name in app.managed()? {
        let (_, status) = ProfileState::new(&app.paths.state, &name).read()?;
        let served = status.current.iter().map(|key| &key.id);
        let under_way = status.rotation.iter().flat_map(|open| open.ours());
        holders.extend(served.chain(under_way).map(|id| (id.clone(), name.clone())));
    }
    Ok(holders)
}
