//! The policy that AWS attaches to a user whose key it found in public: noticed without anybody asking, and told once.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use rotakey_core::iam::Outcome;
use rotakey_core::journal::Status;
use rotakey_core::time::later;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use super::advice;
use crate::app::App;
use crate::clock::Clock;
use crate::driver::quarantine::POLICY;
use crate::iam::KeyService;
use crate::news::{Kind, News};
use crate::store::disk;
use crate::store::keystore::Keystore;
use crate::store::profile::ProfileState;

/// How often the agent looks.
const EVERY: Duration = Duration::from_secs(3600);

/// How many users are looked at at a time, of all keys: each takes a client of the SDK, and there is no hurry.
const LOOKS_MAX: usize = 4;

/// What the looks at all users share.
#[derive(Clone)]
pub struct Looks {
    keystore: Rc<dyn Keystore>,
    turns: Rc<Semaphore>,
}

impl Looks {
    /// With the agent's own keystore, which is open already: another one would derive its key anew for each look.
    pub fn new(keystore: Rc<dyn Keystore>) -> Self {
        Self { keystore, turns: Rc::new(Semaphore::new(LOOKS_MAX)) }
    }
}

/// What an administrator does about it, and in which order.
pub fn hint(
    user: &str,
    arn: &str,
    policy: &str,
    id: &rotakey_core::credential::AccessKeyId,
) -> String {
    let partition = arn.split(':').nth(1).unwrap_or("aws");
    format!(
        "AWS found this key in public. As an administrator: `{}`, give the new key to this profile (`rotakey remove` and `rotakey add`), then `{}`, and `{}`. docs/incident.md has the rest",
        advice::create(user),
        advice::deactivate(user, id),
        advice::detach_quarantine(user, partition, policy)
    )
}

/// Whether the user of a profile was seen under quarantine, and was not seen free of it since. Nothing that a leaked key
/// could need is done by itself then.
pub fn is_marked(state: &ProfileState) -> bool {
    matches!(disk::read(&mark(state)), Ok(Some(bytes)) if !bytes.is_empty())
}

fn mark(state: &ProfileState) -> PathBuf {
    state.dir().join("quarantine")
}

/// Asks IAM whether the user of a profile is under quarantine; the policy's name, if so. It is told once, until it is
/// over. Whatever cannot be asked is asked again later.
async fn look(app: &App, keystore: &dyn Keystore) -> Option<String> {
    let state = app.state().ok()?;
    let status = app.status().ok()?;
    let (whose, key) = (status.enrolment.as_ref()?, status.current.as_ref()?);
    let settings = app.settings().ok()?;
    let signer = app.iam_signer_at_hand(&settings, keystore, &key.id)?;
    let service = app.service(&settings);
    let Outcome::Done(policies) = service.attached_policies(&signer, &whose.user).await else {
        return None;
    };
    let policy = policies.into_iter().find(|name| name.starts_with(POLICY));
    let Some(policy) = policy else {
        if is_marked(&state) {
            tracing::info!(profile = state.profile(), "the quarantine is over");
            let _ = disk::replace(&mark(&state), b"");
        }
        return None;
    };
    tell(app, &state, &status, &policy);
    Some(policy)
}

/// Tells it, unless that was done, and marks the profile. `seen` holds the policy's name: it may be a whole denial.
pub fn tell(app: &App, state: &ProfileState, status: &Status, seen: &str) {
    let (Some(whose), Some(key)) = (&status.enrolment, &status.current) else { return };
    if is_marked(state) {
        return;
    }
    let named = seen.find(POLICY).map_or(POLICY, |at| &seen[at..]);
    let policy = named.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or(POLICY);
    app.announcer.tell(&News {
        time: app.clock.now().wall,
        profile: state.profile().to_owned(),
        kind: Kind::Quarantine,
        rotation: status.rotation.as_ref().map(|open| open.id.clone()),
        access_key_id: Some(key.id.clone()),
        message: format!(
            "{}: AWS put {} under quarantine ({policy}): {} leaked",
            state.profile(),
            whose.user,
            key.id
        ),
        hint: Some(hint(&whose.user, &whose.arn, policy, &key.id)),
    });
    if let Err(error) = disk::replace(&mark(state), format!("{policy} {}\n", key.id).as_bytes()) {
        tracing::warn!(profile = state.profile(), %error, "the quarantine is not noted");
    }
}

/// Looks for as long as the agent serves the key. `configured` brings the configuration whenever it was changed, and ends it.
pub async fn watch(mut app: Rc<App>, looks: Looks, mut configured: UnboundedReceiver<Rc<App>>) {
    let clock = app.clock.clone();
    let mut next = clock.now().wall;
    loop {
        let turn = async {
            clock.sleep_until(next).await;
            looks.turns.acquire().await
        };
        tokio::select! {
            new = configured.recv() => match new {
                Some(new) => (app, next) = (new, clock.now().wall),
                None => return,
            },
            // Held for as long as the look takes.
            _turn = turn => {
                // In a box, which is gone afterwards: what a call needs is a hundred times what waiting for the next one does.
                Box::pin(look(&app, looks.keystore.as_ref())).await;
                next = later(clock.now().wall, EVERY);
            }
        }
    }
}
