//! A saved state: the files of a profile, byte for byte, and what was around them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rotakey_agent::simulator::Behaviour;
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use rotakey_core::journal::decode;
use rotakey_core::lease::Ledger;
use rotakey_core::time::Now;
use serde_json::json;

use crate::scene::{Asked, Ends, Expected, Key, Scene};
use crate::system::machine::File;
use crate::system::{Install, USER, World, instant_policy};

/// Where the corpus is.
pub const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/replay");

pub const JOURNAL: &str = "/state/app/journal";
pub const LEDGER: &str = "/state/app/ledger.json";

/// Ids drawn by lot must not be those of the saved keys, which came from the default seed.
const SEED: u64 = 77;

#[derive(Clone)]
pub struct Case {
    pub name: String,
    /// `journal`, and `journal.durable`, if a power cut would bring something else back.
    pub journal: Vec<u8>,
    pub durable: Option<Vec<u8>>,
    /// `ledger.json`
    pub ledger: Vec<u8>,
    /// `world.json`
    pub scene: Scene,
}

impl Case {
    /// The corpus, by name.
    pub fn all() -> Vec<Self> {
        let folders = std::fs::read_dir(CORPUS).expect("the corpus").map(|e| e.expect("an entry"));
        let folders = folders.filter(|entry| entry.path().is_dir());
        let mut cases: Vec<_> = folders.map(|entry| Self::read(&entry.path())).collect();
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        cases
    }

    fn read(folder: &Path) -> Self {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let file = |file: &str| {
            std::fs::read(folder.join(file)).unwrap_or_else(|e| panic!("{name}/{file}: {e}"))
        };
        let scene = serde_json::from_slice(&file("world.json"));
        Self {
            journal: file("journal"),
            durable: std::fs::read(folder.join("journal.durable")).ok(),
            ledger: file("ledger.json"),
            scene: scene.unwrap_or_else(|error| panic!("{name}/world.json: {error}")),
            name,
        }
    }

    /// Adds it to the corpus, unless there is one of that name: what was saved once stays as it is.
    pub fn save(&self) -> bool {
        let folder = Path::new(CORPUS).join(&self.name);
        if folder.exists() {
            return false;
        }
        std::fs::create_dir(&folder).expect("a new folder");
        let write = |file, bytes: &[u8]| std::fs::write(folder.join(file), bytes).expect("room");
        write("journal", &self.journal);
        if let Some(durable) = &self.durable {
            write("journal.durable", durable);
        }
        write("ledger.json", &self.ledger);
        let scene = serde_json::to_string_pretty(&self.scene).expect("plain data");
        write("world.json", format!("{scene}\n").as_bytes());
        true
    }

    /// The state that an installation and its user's keys are in, once its process is dead.
    pub fn of(name: &str, what: &str, world: &World, asked: Asked, expected: Expected) -> Self {
        let machine = &world.installs[0].machine;
        let file = |path| &machine.files[Path::new(path)];
        let now = |path| file(path).now.clone().expect("there");
        let journal = now(JOURNAL);
        let durable = file(JOURNAL).durable().map(<[u8]>::to_vec).filter(|other| *other != journal);
        let watch = &world.watch;
        let keys = world.iam.keys().map(|row| {
            let id: AccessKeyId = row.id.parse().expect("an id");
            Key {
                status: row.status,
                created: row.created,
                inactive_since: watch.inactive.get(&id).copied(),
                is_theirs: !watch.ours.contains(&id),
                is_meddled: watch.meddled.contains(&id),
                id,
            }
        });
        let keys: Vec<_> = keys.collect();
        let mut deleted_by_others = watch.meddled.clone();
        deleted_by_others.retain(|id| keys.iter().all(|key| key.id != *id));
        let scene = Scene {
            what: what.to_owned(),
            now: world.now.wall,
            monotonic: world.now.monotonic.clone(),
            server_offset: world.iam.behaviour().server_offset,
            keys,
            deleted_by_others,
            held: world.held(0),
            leases: watch.leases.clone(),
            asked,
            sleeps_seconds: 0,
            expected,
        };
        Self { name: name.to_owned(), journal, durable, ledger: now(LEDGER), scene }
    }

    /// The world as it was, on the policy and the behaviour of the harness.
    pub fn world(&self) -> World {
        let Scene { now, monotonic, server_offset, keys, held, leases, .. } = &self.scene;
        let now = Now { wall: *now, monotonic: monotonic.clone() };
        let behaviour =
            Behaviour { seed: SEED, server_offset: *server_offset, ..Behaviour::default() };
        let (mut world, _) = World::empty(instant_policy(), behaviour, now);
        let made_up = |id: &AccessKeyId| format!("the secret of {id}");
        for key in keys {
            let Key { id, status, created, .. } = key;
            world.order(json!({"op": "import-key", "user": USER, "access_key_id": id,
                "secret_access_key": made_up(id), "status": status, "created": created}));
            world.watch.inactive.extend(key.inactive_since.map(|since| (id.clone(), since)));
            if !key.is_theirs {
                world.watch.ours.insert(id.clone());
            }
            if key.is_meddled {
                world.watch.meddled.insert(id.clone());
            }
        }
        world.watch.meddled.extend(self.scene.deleted_by_others.iter().cloned());
        let mut install = Install::new("here");
        let machine = &mut install.machine;
        let durable = self.durable.as_ref().unwrap_or(&self.journal);
        let ledger = File::found(self.ledger.clone(), self.ledger.clone());
        machine.files = BTreeMap::from([
            (PathBuf::from(JOURNAL), File::found(self.journal.clone(), durable.clone())),
            (PathBuf::from(LEDGER), ledger),
        ]);
        let secret = |id: &AccessKeyId| (id.clone(), SecretAccessKey::new(made_up(id)));
        machine.secrets = held.iter().map(secret).collect();
        world.installs.push(install);
        world.watch.leases.clone_from(leases);
        world.watch.is_blind = self.is_damaged();
        // A creation that was intended before may have been sent: only a new intent allows another one.
        world.watch.creates = BTreeMap::from([(0, self.create_intents())]);
        world
    }

    pub fn is_damaged(&self) -> bool {
        self.scene.expected.ends == Ends::Damaged
    }

    /// Whether what programs are given was broken before, by somebody else.
    pub fn is_served_key_deleted(&self) -> bool {
        let ledger: Ledger = serde_json::from_slice(&self.ledger).expect("a ledger");
        self.scene.deleted_by_others.contains(&ledger.access_key_id)
    }

    fn create_intents(&self) -> usize {
        let entries = decode(&self.journal).map(|(entries, _)| entries).unwrap_or_default();
        entries.iter().filter(|entry| crate::label(&entry.record) == "intended-create").count()
    }
}
