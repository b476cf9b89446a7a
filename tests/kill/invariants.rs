//! What must hold after every kill, and what must hold once nothing is under way. Each has a name, which a
//! violation is told by.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Client;
use super::support::{World, stored_ids};

/// A name and what was seen in its place.
pub(crate) type Violation = (&'static str, String);

/// What is watched over one user.
pub(crate) struct Watch {
    /// The first key, and all that rotakey ever created.
    ours: BTreeSet<String>,
    /// The keys of another user of the account, as they were made.
    others: Value,
}

impl Watch {
    /// Gives the account another user, whose two keys nobody may touch.
    pub(crate) fn begin(world: &World) -> Self {
        world.control(json!({"op": "create-user", "user": "other"}));
        for status in ["Active", "Inactive"] {
            let key = world.control(json!({"op": "create-key", "user": "other"}));
            let id = &key["access_key_id"];
            world.control(json!({"op": "set-key-status", "access_key_id": id, "status": status}));
        }
        Self { ours: [world.id.clone()].into(), others: keys_of_other(world) }
    }

    /// At any instant.
    pub(crate) fn check(&mut self, world: &World, client: &Client) -> Result<(), Violation> {
        let served = serves(world)?;
        holds("the served key is accepted", world.accepts(&served), || {
            format!("{served} of {:?}", world.keys())
        })?;
        let keys = world.keys();
        holds("two keys at most", keys.len() <= 2, || format!("{keys:?}"))?;
        self.touched(world)?;
        let seen = client.seen();
        holds("no client is refused", seen.refused.is_empty(), || format!("{:?}", seen.refused))?;
        holds("credential-process answers", seen.failed.is_empty(), || {
            format!("a client got {:?}", seen.failed)
        })
    }

    /// Nothing was deactivated or deleted that is not ours.
    fn touched(&mut self, world: &World) -> Result<(), Violation> {
        let simulator = world.simulator.lock().unwrap();
        for event in simulator.log().filter(|event| event.outcome == "Done") {
            let target = event.target.clone().unwrap_or_default();
            match event.action.as_str() {
                "CreateAccessKey" => {
                    self.ours.insert(target);
                }
                "UpdateAccessKey" | "DeleteAccessKey" => {
                    holds("only ours are touched", self.ours.contains(&target), || {
                        format!("{} of {target}", event.action)
                    })?;
                }
                _ => {}
            }
        }
        drop(simulator);
        let others = keys_of_other(world);
        holds("only ours are touched", others == self.others, || format!("{others}"))
    }

    /// Once a rotation is over: one key, which is served, kept, and used.
    pub(crate) fn converged(world: &World, client: &Client) -> Result<String, Violation> {
        let served = serves(world)?;
        let keys = world.keys();
        holds(
            "one key is left, active and served",
            keys == [(served.clone(), "Active".into())],
            || format!("{keys:?}, and {served} is served"),
        )?;
        let kept = stored_ids(world);
        holds("the keystore holds that secret alone", kept == [served.clone()], || {
            format!("{kept:?}, and {served} is served")
        })?;
        // Its signatures prove that the secret is the right one.
        let limit = Instant::now() + Duration::from_secs(20);
        while client.seen().signer != served {
            holds("clients use the served key", Instant::now() < limit, || {
                format!("{:?}, and {served} is served", client.seen())
            })?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(served)
    }
}

/// The key that `credential-process` serves.
fn serves(world: &World) -> Result<String, Violation> {
    let run = world.rotakey(&["credential-process"]);
    let answer: Option<Value> = serde_json::from_str(&run.stdout).ok();
    let id = answer.as_ref().and_then(|answer| answer["AccessKeyId"].as_str());
    let answers = run.code == 0 && run.stderr.is_empty();
    id.filter(|_| answers)
        .map(str::to_owned)
        .ok_or_else(|| ("credential-process answers", format!("{run:?}")))
}

fn keys_of_other(world: &World) -> Value {
    let rows = world.control(json!({"op": "keys", "user": "other"}));
    let rows = rows["keys"].as_array().unwrap().iter();
    rows.map(|row| json!([row["access_key_id"], row["status"]])).collect()
}

fn holds(name: &'static str, holds: bool, seen: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err((name, seen())) }
}
