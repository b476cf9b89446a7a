//! The keyring of the operating system: Secret Service, macOS Keychain, Windows Credential Manager.
//!
//! A keyring may wait for a person for ever, so no call here waits for it for ever: all of them run
//! on one thread, which is abandoned when it does not answer in time.
#![allow(clippy::disallowed_methods, reason = "it measures how long the keyring takes")]

use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use keyring_core::{CredentialStore, Entry, Error};
use rotakey_core::credential::{AccessKeyId, SecretAccessKey};
use zeroize::Zeroize;

use super::{Keystore, KeystoreError};

/// The service name of every item.
pub const SERVICE: &str = "rotakey";

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How many abandoned threads may wait for the keyring; with more, calls fail at once.
const MOST_ABANDONED: usize = 4;

#[cfg(target_os = "macos")]
const NAME: &str = "the keyring (Keychain)";
#[cfg(target_os = "windows")]
const NAME: &str = "the keyring (Credential Manager)";
#[cfg(not(any(target_os = "macos", target_os = "windows")))]
const NAME: &str = "the keyring (Secret Service)";

/// The keyring of the user who runs this process.
#[derive(Default)]
pub struct Keyring {
    worker: Mutex<Option<Worker>>,
    // One more owner per thread that still runs.
    threads: Arc<()>,
}

#[derive(Clone)]
struct Worker {
    jobs: mpsc::Sender<Job>,
    // Tells workers apart: only the one that was too late is given up.
    identity: Arc<()>,
}

struct Job {
    request: Request,
    deadline: Instant,
    answer: mpsc::Sender<Answer>,
}

enum Request {
    Put(AccessKeyId, SecretAccessKey),
    Get(AccessKeyId),
    Delete(AccessKeyId),
}

type Answer = Result<Option<SecretAccessKey>, KeystoreError>;

impl Keyring {
    /// Touches nothing yet: the keyring is first asked by the first call.
    pub fn new() -> Self {
        Self::default()
    }

    fn call(&self, request: Request) -> Answer {
        let worker = self.worker()?;
        let (send, receive) = mpsc::channel();
        let job = Job { request, deadline: Instant::now() + TIMEOUT, answer: send };
        let late = match worker.jobs.send(job) {
            Ok(()) => match receive.recv_timeout(TIMEOUT) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            },
            Err(_) => false,
        };
        self.give_up(&worker);
        Err(unreachable(if late { "did not answer within 3 s" } else { "its client broke down" }))
    }

    fn worker(&self) -> Result<Worker, KeystoreError> {
        let mut slot = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = slot.as_ref() {
            return Ok(worker.clone());
        }
        if Arc::strong_count(&self.threads) > MOST_ABANDONED {
            return Err(unreachable("did not answer several earlier calls, which still wait"));
        }
        let (jobs, queue) = mpsc::channel();
        let running = Arc::clone(&self.threads);
        thread::Builder::new()
            .name("keyring".to_owned())
            .spawn(move || {
                serve(&queue);
                drop(running);
            })
            .map_err(|error| unreachable(&format!("no thread for it: {error}")))?;
        let worker = Worker { jobs, identity: Arc::new(()) };
        *slot = Some(worker.clone());
        Ok(worker)
    }

    fn give_up(&self, late: &Worker) {
        let mut slot = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|held| Arc::ptr_eq(&held.identity, &late.identity)) {
            *slot = None;
        }
    }
}

impl Keystore for Keyring {
    fn describe(&self) -> String {
        NAME.to_owned()
    }

    fn put(&self, id: &AccessKeyId, secret: &SecretAccessKey) -> Result<(), KeystoreError> {
        self.call(Request::Put(id.clone(), secret.clone())).map(drop)
    }

    fn get(&self, id: &AccessKeyId) -> Result<Option<SecretAccessKey>, KeystoreError> {
        self.call(Request::Get(id.clone()))
    }

    fn delete(&self, id: &AccessKeyId) -> Result<(), KeystoreError> {
        self.call(Request::Delete(id.clone())).map(drop)
    }
}

/// The thread: ends with the last sender, that is with the keyring object or when given up.
fn serve(queue: &mpsc::Receiver<Job>) {
    let mut store = None;
    while let Ok(job) = queue.recv() {
        // Nobody waits for a late job; doing it now could surprise whoever acted on the timeout.
        if Instant::now() < job.deadline {
            let answer = perform(&mut store, &job.request);
            // The caller may have given up meanwhile.
            let _ = job.answer.send(answer);
        }
    }
}

fn perform(store: &mut Option<Arc<CredentialStore>>, request: &Request) -> Answer {
    match attempt(store, request) {
        // After a restart of the keyring's daemon, an old session fails for ever: one new try.
        Err(Failure::Session(_)) => {
            *store = None;
            attempt(store, request).map_err(Failure::into_error)
        }
        answer => answer.map_err(Failure::into_error),
    }
}

enum Failure {
    /// The platform failed, perhaps only because the session to it is stale.
    Session(String),
    Final(KeystoreError),
}

impl Failure {
    fn into_error(self) -> KeystoreError {
        match self {
            Self::Session(reason) => unreachable(&reason),
            Self::Final(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::PlatformFailure(reason) => Self::Session(reason.to_string()),
            Error::NoStorageAccess(_) => {
                Self::Final(KeystoreError::Locked { store: NAME.to_owned() })
            }
            // These hold the item's bytes, so only their kind is told.
            Error::BadEncoding(mut bytes) | Error::BadDataFormat(mut bytes, _) => {
                bytes.zeroize();
                Self::Final(damaged("an item is not text"))
            }
            Error::BadStoreFormat(reason) => Self::Final(damaged(&reason)),
            Error::TooLong(..) | Error::Invalid(..) => Self::Final(KeystoreError::Unwritable {
                store: NAME.to_owned(),
                reason: error.to_string(),
            }),
            other => Self::Final(unreachable(&other.to_string())),
        }
    }
}

fn attempt(
    store: &mut Option<Arc<CredentialStore>>,
    request: &Request,
) -> Result<Option<SecretAccessKey>, Failure> {
    let (Request::Put(id, _) | Request::Get(id) | Request::Delete(id)) = request;
    platform::check_unlocked(id).map_err(Failure::Final)?;
    let opened = match store {
        Some(opened) => opened,
        None => store.insert(platform::open()?),
    };
    let entry = opened.build(SERVICE, id.as_str(), None::<&HashMap<&str, &str>>)?;
    match request {
        Request::Get(_) => read(&entry),
        Request::Put(id, secret) => match read(&entry)? {
            Some(held) if held == *secret => Ok(None),
            Some(_) => Err(Failure::Final(KeystoreError::Conflict {
                store: NAME.to_owned(),
                id: id.clone(),
            })),
            None => {
                entry.set_password(secret.expose())?;
                Ok(None)
            }
        },
        Request::Delete(_) => {
            match entry.delete_credential() {
                Ok(()) | Err(Error::NoEntry) => {}
                Err(Error::Ambiguous(twins)) => {
                    for twin in twins {
                        twin.delete_credential()?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            Ok(None)
        }
    }
}

fn read(entry: &Entry) -> Result<Option<SecretAccessKey>, Failure> {
    match entry.get_password() {
        Ok(secret) => Ok(Some(SecretAccessKey::new(secret))),
        Err(Error::NoEntry) => Ok(None),
        // Two programs that store at the same moment make two items; equal ones do no harm.
        Err(Error::Ambiguous(twins)) => {
            let mut found: Option<SecretAccessKey> = None;
            for twin in twins {
                let secret = SecretAccessKey::new(twin.get_password()?);
                if found.as_ref().is_some_and(|first| *first != secret) {
                    return Err(Failure::Final(damaged(
                        "it holds two different secrets of one id",
                    )));
                }
                found = Some(secret);
            }
            Ok(found)
        }
        Err(error) => Err(error.into()),
    }
}

fn unreachable(reason: &str) -> KeystoreError {
    KeystoreError::Unreachable { store: NAME.to_owned(), reason: reason.to_owned() }
}

fn damaged(reason: &str) -> KeystoreError {
    KeystoreError::Damaged { store: NAME.to_owned(), reason: reason.to_owned() }
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{
        AccessKeyId, Arc, CredentialStore, Error, HashMap, KeystoreError, NAME, SERVICE,
        unreachable,
    };
    use secret_service::blocking::SecretService;
    use secret_service::{EncryptionType, Error as ServiceError};

    pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
        let store = zbus_secret_service_keyring_store::Store::new()?;
        Ok(store)
    }

    /// Asks whether access would need a prompt, by calls that never start one: with a display, a
    /// prompt nobody answers holds the call, and the store, for ever.
    pub(super) fn check_unlocked(id: &AccessKeyId) -> Result<(), KeystoreError> {
        // A new session each time: it costs milliseconds and is never stale. No secret passes
        // through it, so it needs no encryption.
        let service = SecretService::connect(EncryptionType::Plain).map_err(explain)?;
        let default = service.get_default_collection().map_err(|error| match error {
            ServiceError::NoResult => unreachable("it has no default collection"),
            other => explain(other),
        })?;
        let mut locked = default.is_locked().map_err(explain)?;
        if !locked {
            // An item can be in another collection, locked although the default one is not.
            let attributes = HashMap::from([("service", SERVICE), ("username", id.as_str())]);
            locked = !service.search_items(attributes).map_err(explain)?.locked.is_empty();
        }
        if locked {
            return Err(KeystoreError::Locked { store: NAME.to_owned() });
        }
        Ok(())
    }

    fn explain(error: ServiceError) -> KeystoreError {
        match error {
            ServiceError::Unavailable => unreachable("no session bus, or no keyring on it"),
            ServiceError::Locked | ServiceError::Prompt => {
                KeystoreError::Locked { store: NAME.to_owned() }
            }
            other => unreachable(&other.to_string()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::{AccessKeyId, Arc, CredentialStore, Error, KeystoreError};

    #[cfg(target_os = "macos")]
    pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
        let store = apple_native_keyring_store::keychain::Store::new()?;
        Ok(store)
    }

    #[cfg(target_os = "windows")]
    pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
        let store = windows_native_keyring_store::Store::new()?;
        Ok(store)
    }

    #[cfg(not(any(target_os = "macos", target_os = "windows")))]
    pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
        Err(Error::NotSupportedByStore("this system has no keyring rotakey knows".to_owned()))
    }

    /// These keyrings have no such question; the caller's timeout bounds a prompt.
    pub(super) fn check_unlocked(_id: &AccessKeyId) -> Result<(), KeystoreError> {
        Ok(())
    }
}
