//! A server of the endpoint, with two profiles, and an account of what it did.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rotakey_core::credential::{Credentials, Generation, SecretAccessKey, SessionToken};
use rotakey_endpoint::answer::Answer;
use rotakey_endpoint::drain::{Drain, Drainer};
use rotakey_endpoint::imds::Tokens;
use rotakey_endpoint::publish::{Publisher, Snapshot};
use rotakey_endpoint::route;
use rotakey_endpoint::server::{Handler, Limits, listen_tcp, serve_tcp, serve_unix};
use rotakey_endpoint::table::{
    Accounts, Caller, CallerToken, Handed, Imds, Profile, Refused, Table,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::client::PATIENCE;

pub const NOW: i64 = 1_800_000_000;
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub const SECRET: &str = "SECRETkeySECRETkeySECRETkeySECRETkeySECR";
pub const SESSION: &str = "SECRETsessionSECRETsession//+==";
pub const KEY_SECRET: &str = "SECRETlongtermSECRETlongtermSECRETlongte";

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).unwrap()
}

/// What came of the requests.
pub struct Desk {
    pub table: ArcSwap<Table>,
    pub tokens: Tokens,
    pub second: AtomicI64,
    pub is_current: AtomicBool,
    pub handed: Mutex<Vec<Handed>>,
    pub refused: Mutex<Vec<(Refused, Option<Caller>, String)>>,
    /// `GET /slow` is answered when this is told.
    pub go: Notify,
    /// Told when `GET /slow` has begun.
    pub slow: Notify,
}

impl Desk {
    pub fn now(&self) -> Timestamp {
        at(self.second.load(Ordering::SeqCst))
    }

    /// The refusals since the last call.
    pub fn refusals(&self) -> Vec<(Refused, Option<Caller>, String)> {
        std::mem::take(&mut *self.refused.lock().unwrap())
    }

    pub fn whys(&self) -> Vec<Refused> {
        self.refusals().into_iter().map(|(why, ..)| why).collect()
    }

    pub fn handed(&self) -> Vec<Handed> {
        std::mem::take(&mut *self.handed.lock().unwrap())
    }

    fn note(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        assert!(!what.contains("SECRET") && !what.contains(TOKEN), "{what}");
        self.refused.lock().unwrap().push((why, caller.cloned(), what.to_owned()));
    }
}

impl Accounts for Desk {
    fn is_current(&self, _: &Profile, _: Generation) -> bool {
        self.is_current.load(Ordering::SeqCst)
    }

    fn handed(&self, handed: Handed) {
        self.handed.lock().unwrap().push(handed);
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        self.note(why, caller, what);
    }
}

/// What the server calls: the desk, behind a pointer.
pub struct Counter(pub Arc<Desk>);

impl Handler for Counter {
    async fn handle(
        &self,
        caller: &Caller,
        request: http::Request<hyper::body::Incoming>,
    ) -> Answer {
        let desk = &*self.0;
        let (head, _) = request.into_parts();
        if head.uri.path() == "/slow" {
            desk.slow.notify_one();
            desk.go.notified().await;
        }
        let table = desk.table.load();
        match head.uri.path().strip_prefix("/credential-process/") {
            Some(profile) if matches!(caller, Caller::Process { .. }) => {
                route::process(&table, desk, desk.now(), caller, profile)
            }
            _ => route::answer(&table, desk, &desk.tokens, desk.now(), caller, &head),
        }
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        self.0.note(why, caller, what);
    }
}

pub struct World {
    pub desk: Arc<Desk>,
    pub address: SocketAddr,
    pub socket: PathBuf,
    pub drainer: Drainer,
    pub process: Publisher,
    pub temporary: Publisher,
    pub servers: Vec<JoinHandle<()>>,
    pub runtime: tokio::runtime::Runtime,
    pub folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with(Limits::default(), "127.0.0.1:0")
    }

    pub fn limited(limits: Limits) -> Self {
        Self::with(limits, "127.0.0.1:0")
    }

    /// Both servers, with everything on and credentials published, at `NOW`.
    pub fn with(limits: Limits, listen: &str) -> Self {
        let (process, temporary) = (Publisher::new(), Publisher::new());
        process.publish(long_term(1)).unwrap();
        temporary.publish(session(1)).unwrap();
        let deploy = Arc::new(profile("deploy", &process, &temporary));
        let empty = Arc::new(profile("empty", &Publisher::new(), &Publisher::new()));
        let imds = Some(Imds { profile: Arc::clone(&deploy), v1: false });
        let profiles = [deploy, empty].map(|p| (p.name.clone(), p)).into();
        let desk = Arc::new(Desk {
            table: ArcSwap::from_pointee(Table { profiles, container: true, imds }),
            tokens: Tokens::new(Zeroizing::new([7; 32])),
            second: AtomicI64::new(0),
            is_current: AtomicBool::new(true),
            handed: Mutex::default(),
            refused: Mutex::default(),
            go: Notify::new(),
            slow: Notify::new(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let (drainer, drain) = Drain::new();
        let counter = Arc::new(Counter(Arc::clone(&desk)));
        let inside = runtime.enter();
        let unix = tokio::net::UnixListener::bind(&socket).unwrap();
        let tcp = listen_tcp(listen.parse().unwrap()).unwrap();
        let address = tcp.local_addr().unwrap();
        drop(inside);
        let servers = vec![
            runtime.spawn(serve_tcp(tcp, Arc::clone(&counter), limits.clone(), drain.clone())),
            runtime.spawn(serve_unix(unix, counter, limits, drain)),
        ];
        Self { desk, address, socket, drainer, process, temporary, servers, runtime, folder }
    }

    pub fn unix(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Another table, made from the present one.
    pub fn change(&self, change: impl FnOnce(&mut Table)) {
        let now = self.desk.table.load_full();
        let mut table = Table {
            profiles: now.profiles.clone(),
            container: now.container,
            imds: now.imds.clone(),
        };
        change(&mut table);
        self.desk.table.store(Arc::new(table));
    }

    /// Tells the servers to drain.
    pub fn drain(&self, deadline: Duration) {
        self.drainer.drain(deadline);
    }

    /// Waits until the servers have returned.
    pub fn join(&mut self) {
        for server in self.servers.drain(..) {
            let ended =
                self.runtime.block_on(async { tokio::time::timeout(PATIENCE, server).await });
            ended.expect("the server returns").expect("without a panic");
        }
    }

    /// Waits until something has become true.
    pub fn wait_until(&self, what: &str, mut is_true: impl FnMut(&Self) -> bool) {
        let began = std::time::Instant::now();
        while !is_true(self) {
            assert!(began.elapsed() < PATIENCE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn profile(name: &str, process: &Publisher, temporary: &Publisher) -> Profile {
    Profile {
        ready: arc_swap::ArcSwapOption::empty(),
        out_of_service: arc_swap::ArcSwapOption::empty(),
        name: name.to_owned(),
        account_id: Some("123456789012".to_owned()),
        lease: Duration::from_secs(3600),
        process: process.subscribe(),
        temporary: temporary.subscribe(),
        token: ArcSwap::from_pointee(CallerToken::new(TOKEN.to_owned())),
        executables: Vec::new(),
    }
}

/// Covered for a long time.
pub fn long_term(generation: u64) -> Snapshot {
    let key = "AKIAEXAMPLE";
    let secret = SecretAccessKey::new(KEY_SECRET.to_owned());
    let credentials = Credentials::long_term(key.parse().unwrap(), secret);
    Snapshot {
        generation: Generation(generation),
        key: key.parse().unwrap(),
        credentials,
        valid_until: None,
        covered_until: Some(at(7200)),
    }
}

/// Good for two hours, and covered for as long.
pub fn session(generation: u64) -> Snapshot {
    let credentials = Credentials {
        access_key_id: "ASIAEXAMPLE".parse().unwrap(),
        secret_access_key: SecretAccessKey::new(SECRET.to_owned()),
        session_token: Some(SessionToken::new(SESSION.to_owned())),
    };
    Snapshot { credentials, valid_until: Some(at(7200)), ..long_term(generation) }
}
