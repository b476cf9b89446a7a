//! Where each SDK's chain ends: at rotakey, at a leftover, or nowhere.

use super::check::Check;
use super::environment::is_placeholder;
use super::line::Line;
use super::scene::Scene;
use crate::chains::{self, Answer, Sdk};

/// One check for each SDK.
pub(super) fn checks(scene: &Scene<'_>, profile: &str) -> Vec<Check> {
    let env = scene.env_for(profile);
    let answers = chains::ALL.iter().map(|sdk| (sdk, chains::answer(sdk, &env, &scene.files)));
    answers.map(|(sdk, answer)| judge(scene, profile, sdk, answer).of(sdk.name)).collect()
}

/// Whether two profiles of rotakey serve one key.
fn is_alike(scene: &Scene<'_>, one: &str, other: &str) -> bool {
    let key = |name| scene.app.config.key_profile(name).ok();
    one == other || (key(one).is_some() && key(one) == key(other))
}

fn judge(scene: &Scene<'_>, profile: &str, sdk: &Sdk, answer: Answer) -> Check {
    let bad = |found: String| Check::bad("programs", found);
    match answer {
        Answer::Process { line, at } => match Line::read(scene, &line) {
            Line::Ours(name) if is_alike(scene, &name, profile) => {
                Check::ok("programs", format!("rotakey, by credential_process at {at}"))
            }
            Line::Ours(name) => bad(format!("rotakey's profile {name}, by the line at {at}")),
            Line::Other(program) => bad(format!("{program}, by credential_process at {at}")),
            Line::Wrong(why) => bad(format!("an error: {why}, says the line at {at}")),
        },
        Answer::Container { uri, at } => match scene.served_at(&uri) {
            Some(name) if is_alike(scene, name, profile) => {
                Check::ok("programs", format!("rotakey, by the container endpoint of {at}"))
            }
            Some(name) => bad(format!("rotakey's profile {name}, by {at}")),
            None => bad(format!("{uri}, which is not the agent, by {at}")),
        },
        Answer::Imds { endpoint } if scene.is_our_imds(&endpoint) => {
            Check::ok("programs", "rotakey, by IMDS")
        }
        Answer::Imds { endpoint } if endpoint != chains::EC2 => {
            bad(format!("{endpoint}, which is not the agent, as IMDS"))
        }
        // On EC2 that is the machine's role; elsewhere nobody answers.
        Answer::Imds { .. } => nothing(sdk, "nothing, or on EC2 the machine's role"),
        Answer::Nothing => nothing(sdk, "nothing"),
        Answer::Key { access_key_id, at } if is_placeholder(&scene.app.env, &access_key_id) => {
            Check::ok("programs", format!("rotakey's proxy, by the placeholder at {at}"))
        }
        Answer::Key { access_key_id, at } => match scene.holder_of(&access_key_id) {
            Some(holder) => bad(format!("a copy of {holder}'s key, {access_key_id}, at {at}")),
            None => bad(format!("the key {access_key_id} at {at}")),
        },
        Answer::Session { by, at } => bad(format!("a session of its own, by {by} at {at}")),
        Answer::Fails { why, at } => {
            let at = at.map_or(String::new(), |at| format!(" ({at})"));
            bad(format!("an error: {why}{at}"))
        }
    }
}

/// An SDK that finds nothing has no stale key either; whoever needs it learns what it wants.
fn nothing(sdk: &Sdk, what: &str) -> Check {
    match sdk.limit {
        Some(limit) => Check::ok("programs", format!("{what}: {limit}")),
        None => Check::bad("programs", what),
    }
}
