//! A user with a key at a simulator, in one process and on a clock that stands still.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, Generation, SecretAccessKey};
use rotakey_core::iam::Outcome;
use rotakey_core::time::{Monotonic, Now, later};
use serde_json::{Value, json};

use super::super::{MfaSessions, Minted, Minter, NotMinted, Plan, RoleCache};
use crate::clock::Clock;
use crate::config::{Config, Env};
use crate::iam::KeyService;
use crate::simulator::{Behaviour, InProcess, Simulator};
use crate::store::keystore::{Keystore, KeystoreError};

pub(crate) const SEED: &str = "GEZDGNBVGY3TQOJQ";

/// A clock that stands still, unless somebody sleeps.
#[derive(Clone)]
pub(crate) struct Stopped(pub(crate) Arc<Mutex<Timestamp>>);

impl Stopped {
    pub(crate) fn pass(&self, seconds: u64) {
        let mut now = self.0.lock().expect("one thread");
        *now = later(*now, Duration::from_secs(seconds));
    }
}

impl Clock for Stopped {
    fn now(&self) -> Now {
        let wall = *self.0.lock().expect("one thread");
        let since_boot = Duration::from_secs(wall.as_second().unsigned_abs());
        Now { wall, monotonic: Monotonic { boot: "b".to_owned(), since_boot } }
    }

    async fn sleep_until(&self, until: Timestamp) {
        let mut now = self.0.lock().expect("one thread");
        *now = until.max(*now);
    }
}

#[derive(Default)]
pub(crate) struct Kept(Mutex<BTreeMap<AccessKeyId, SecretAccessKey>>);

impl Keystore for Kept {
    fn describe(&self) -> String {
        "the test".to_owned()
    }

    fn put(&self, id: &AccessKeyId, secret: &SecretAccessKey) -> Result<(), KeystoreError> {
        self.0.lock().expect("one thread").insert(id.clone(), secret.clone());
        Ok(())
    }

    fn get(&self, id: &AccessKeyId) -> Result<Option<SecretAccessKey>, KeystoreError> {
        Ok(self.0.lock().expect("one thread").get(id).cloned())
    }

    fn delete(&self, id: &AccessKeyId) -> Result<(), KeystoreError> {
        self.0.lock().expect("one thread").remove(id);
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) simulator: Arc<Mutex<Simulator>>,
    pub(crate) service: InProcess,
    pub(crate) clock: Stopped,
    pub(crate) keystore: Kept,
    pub(crate) mfa: MfaSessions,
    pub(crate) cache: RoleCache,
    pub(crate) key: Credentials,
    pub(crate) patience: Duration,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock =
            Stopped(Arc::new(Mutex::new(Timestamp::from_second(1_764_000_000).expect("a time"))));
        let simulator = Arc::new(Mutex::new(Simulator::new(Behaviour::default())));
        let server = clock.clone();
        let service = InProcess::new(Arc::clone(&simulator), move || server.now().wall);
        let key = Credentials::long_term(
            "AKIANONE".parse().expect("an id"),
            SecretAccessKey::new(String::new()),
        );
        let (keystore, patience) = (Kept::default(), Duration::from_secs(35));
        let (mfa, cache) = (MfaSessions::default(), RoleCache::default());
        let mut world = Self { simulator, service, clock, keystore, mfa, cache, key, patience };
        world.control(json!({"op": "create-user", "user": "app"}));
        world.key = world.new_key();
        world
    }

    pub(crate) fn control(&self, order: Value) -> Value {
        let order = serde_json::from_value(order).expect("an order");
        let mut simulator = self.simulator.lock().expect("one thread");
        simulator.control(self.clock.now().wall, order).expect("obeyed")
    }

    pub(crate) fn new_key(&self) -> Credentials {
        let made = self.control(json!({"op": "create-key", "user": "app"}));
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        let id = text("access_key_id").parse().expect("an id");
        Credentials::long_term(id, SecretAccessKey::new(text("secret_access_key")))
    }

    pub(crate) fn role(&self, name: &str, trusts: &str, more: Value) {
        let mut order = json!({"op": "create-role", "role": name,
            "trust": [format!("arn:aws:iam::123456789012:{trusts}")]});
        let order_map = order.as_object_mut().expect("an object");
        order_map.extend(more.as_object().expect("an object").clone());
        self.control(order);
    }

    pub(crate) fn device(&self) -> String {
        let made = self.control(json!({"op": "mfa-device", "user": "app", "seed": SEED}));
        made["serial"].as_str().expect("a text").to_owned()
    }

    pub(crate) async fn mint(&self, plan: &Plan) -> Result<Minted, NotMinted> {
        self.mint_with(plan, &self.key, 1).await
    }

    pub(crate) async fn mint_with(
        &self,
        plan: &Plan,
        key: &Credentials,
        generation: u64,
    ) -> Result<Minted, NotMinted> {
        let minter = Minter {
            service: &self.service,
            keystore: &self.keystore,
            clock: &self.clock,
            mfa: &self.mfa,
            patience: self.patience,
        };
        minter.mint(plan, key, Generation(generation), &self.cache).await
    }

    pub(crate) async fn arn(&self, minted: &Minted) -> String {
        match self.service.caller_identity(&minted.credentials, "eu-west-1").await {
            Outcome::Done(identity) => identity.arn,
            other => panic!("{other:?}"),
        }
    }

    /// How often an action was called.
    pub(crate) fn calls(&self, action: &str) -> usize {
        let log = self.control(json!({"op": "log"}));
        let events = log["events"].as_array().expect("events");
        events.iter().filter(|event| event["action"] == action).count()
    }
}

pub(crate) fn plan(config: &str, profile: &str) -> Plan {
    Plan::of(&Config::parse(config).expect(config), &Env::default(), profile).expect(config)
}

pub(crate) fn role_table(name: &str, source: &str, more: &str) -> String {
    format!(
        "[profile.{name}]\nserve = \"role\"\nsource_profile = \"{source}\"\n\
         role_arn = \"arn:aws:iam::123456789012:role/{name}\"\n{more}"
    )
}
