//! A rotation of a user who needs MFA, on a clock that jumps: a person gives the codes, as with an agent.

use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{AccessKeyId, Credentials, Generation};
use rotakey_core::iam::Doubt;
use rotakey_core::journal::{Entry, Origin, Reason, Record, RotationId, Status};
use rotakey_core::lease::Ledger;
use rotakey_core::policy::Policy;
use rotakey_core::rotation::{Command, Ending, Event, Goal, Rotation, Task, WaitingFor};
use serde_json::json;

use super::Ready;
use crate::clock::Clock;
use crate::config::{Config, Env, MfaSettings};
use crate::driver::{Driver, Endpoint, Observer, Offered, Stop};
use crate::iam::MfaCode;
use crate::session::Signing;
use crate::session::tests::world::{SEED, Stopped, World};
use crate::simulator::InProcess;
use crate::store::keystore::Keystore;
use crate::store::profile::{Journal, ProfileState};
use crate::totp;

const HOURS: Duration = Duration::from_secs(12 * 3600);

struct Scene {
    world: World,
    device: MfaSettings,
    state: ProfileState,
    policy: Policy,
    _dir: tempfile::TempDir,
}

/// Serves the key that the ledger names.
struct Served<'a>(&'a Scene);

impl Endpoint for Served<'_> {
    async fn published(&self) {}

    async fn fetch(&self) -> Vec<(String, Result<Offered, String>)> {
        let id = self.0.served();
        let secret = self.0.world.keystore.get(&id).expect("readable");
        let key = secret.map(|secret| Credentials::long_term(id, secret)).map(Offered::from);
        vec![("process".to_owned(), key.ok_or("it does not hold the secret".to_owned()))]
    }

    async fn healthy_since(&self) -> Option<Timestamp> {
        None
    }
}

/// A person who gives the code that the device shows when one is asked for, or goes away.
struct Person<'a> {
    scene: &'a Scene,
    asked: usize,
    patience: usize,
}

impl Observer for Person<'_> {
    fn advanced(&mut self, _: &Status) {}

    fn waits(&mut self, _: Timestamp, waiting_for: &WaitingFor) -> bool {
        let WaitingFor::Mfa(why) = waiting_for else { return true };
        assert!(why.contains(&self.scene.device.serial), "{why}");
        self.asked += 1;
        let clock = &self.scene.world.clock;
        // Slow enough for the device to show another one.
        clock.pass(40);
        let now = clock.now().wall;
        let code = MfaCode::new(&totp::code(SEED, now).expect("a seed")).expect("a code");
        self.scene.world.mfa.give(&self.scene.device.serial, code, now);
        self.asked <= self.patience
    }
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let serial = world.device();
        world.control(json!({"op": "require-mfa", "user": "app"}));
        let key = &world.key;
        world.keystore.put(&key.access_key_id, &key.secret_access_key).expect("kept");
        let dir = tempfile::tempdir().expect("a folder");
        let state = ProfileState::new(dir.path(), "app");
        let (_lock, mut journal) = state.lock().expect("free");
        let time = world.clock.now().wall;
        let record = Record::Enrolled {
            access_key_id: key.access_key_id.clone(),
            account_id: "123456789012".to_owned(),
            arn: "arn:aws:iam::123456789012:user/app".to_owned(),
            user: "app".to_owned(),
            created: Some(time),
            origin: Origin::HandedOver,
        };
        journal.append(&Entry { time, rotation: None, record }).expect("written");
        let ledger = Ledger::new(key.access_key_id.clone(), Generation(1), time);
        state.update_ledger(|slot| *slot = Some(ledger)).expect("written");
        let policy = Config::default().settings("app", &Env::default()).expect("defaults").policy;
        let device = MfaSettings { profile: "app".to_owned(), serial, process: None };
        Self { world, device, state, policy, _dir: dir }
    }

    fn driver<'a>(
        &'a self,
        journal: Journal,
        endpoint: &'a Served<'a>,
        duration: Duration,
    ) -> Driver<'a, InProcess, Served<'a>, Stopped> {
        Driver {
            service: &self.world.service,
            keystore: &self.world.keystore,
            state: &self.state,
            journal,
            endpoint,
            clock: &self.world.clock,
            policy: &self.policy,
            tag: "rotakey:here-1",
            mfa: Some(Signing { sessions: &self.world.mfa, device: &self.device, duration }),
        }
    }

    async fn rotate(&self, goal: Goal, duration: Duration, patience: usize) -> (Stop, usize) {
        let (_lock, journal) = self.state.lock().expect("free");
        let task = Task {
            policy: self.policy.clone(),
            rotation: RotationId("r1".to_owned()),
            tag: "rotakey:here-1".to_owned(),
            goal,
        };
        let mut rotation = Rotation::new(task, journal.status().clone());
        let endpoint = Served(self);
        let mut driver = self.driver(journal, &endpoint, duration);
        let mut person = Person { scene: self, asked: 0, patience };
        let stop = driver.drive(&mut rotation, |_| false, &mut person).await;
        (stop, person.asked)
    }

    fn served(&self) -> AccessKeyId {
        self.state.ledger().expect("readable").expect("there").access_key_id
    }

    fn keys(&self) -> usize {
        let keys = self.world.control(json!({"op": "keys", "user": "app"}));
        keys["keys"].as_array().expect("keys").len()
    }
}

const ROTATE: Goal = Goal::Rotate(Reason::Forced);

#[tokio::test]
async fn a_person_is_asked_for_one_code_a_key_while_their_sessions_last() {
    let scene = Scene::new();
    let (stop, asked) = scene.rotate(ROTATE, HOURS, 99).await;
    assert!(matches!(stop, Stop::Ending(Ending::Finished)), "{stop:?}");
    assert_eq!((scene.keys(), scene.world.calls("GetSessionToken")), (1, asked));
    // The old key's, the new one's, and that one's again after a soak of seven days.
    assert_eq!(asked, 3);
    assert_ne!(scene.served(), scene.world.key.access_key_id);
}

#[tokio::test]
async fn whoever_goes_away_finds_the_rotation_where_it_waits() {
    for patience in 0..2 {
        let scene = Scene::new();
        let (stop, asked) = scene.rotate(ROTATE, HOURS, patience).await;
        assert!(matches!(stop, Stop::Waiting(WaitingFor::Mfa(_))), "{patience}: {stop:?}");
        assert_eq!((asked, scene.keys()), (patience + 1, patience + 1));
        // The new key is verified without a code of its own, and needs one to retire the old one.
        assert_eq!(scene.served() != scene.world.key.access_key_id, patience == 1);
        let goal = if patience == 0 { ROTATE } else { Goal::Resume };
        let (stop, _) = scene.rotate(goal, HOURS, 99).await;
        assert!(matches!(stop, Stop::Ending(Ending::Finished)), "{patience}: {stop:?}");
        assert_eq!(scene.keys(), 1);
    }
}

#[tokio::test]
async fn a_session_is_used_to_its_last_minute_and_a_creation_waits_for_none() {
    let scene = Scene::new();
    let (_lock, journal) = scene.state.lock().expect("free");
    let status = journal.status().clone();
    let endpoint = Served(&scene);
    let driver = scene.driver(journal, &endpoint, Duration::from_secs(3600));
    let id = scene.world.key.access_key_id.clone();
    let list = Command::List { signer: id.clone() };
    let create = Command::Create { signer: id, rotation: RotationId("r1".to_owned()) };

    let ready = driver.ready(&create, &status).await;
    let Ready::No(Event::Unknown(Doubt { sent, .. })) = ready else { panic!("it waits") };
    assert!(!sent, "it never left");
    let Ready::NotBefore(_, waiting_for) = driver.ready(&list, &status).await else {
        panic!("it does not wait")
    };
    assert!(Person { scene: &scene, asked: 0, patience: 1 }.waits(Timestamp::MAX, &waiting_for));
    assert!(matches!(driver.ready(&list, &status).await, Ready::Yes));
    assert!(matches!(driver.ready(&create, &status).await, Ready::Yes));
    // Less is left than an order should have, and there is no code for the next one.
    scene.world.clock.pass(3500);
    assert!(matches!(driver.ready(&list, &status).await, Ready::Yes));
    scene.world.clock.pass(80);
    assert!(matches!(driver.ready(&list, &status).await, Ready::NotBefore(..)));
    assert!(matches!(driver.ready(&create, &status).await, Ready::No(_)));
}
