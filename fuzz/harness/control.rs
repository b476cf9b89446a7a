//! Any bytes as requests to the agent's Unix socket, and what must hold whatever they are.
//!
//! Nothing may panic or hang; every answer is one of ours, whole, and JSON if it says anything; a key comes out only where
//! it is asked for by its profile's name; and the engine is told no more than what stands there, of profiles that there are.

#[path = "answers.rs"]
mod answers;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rotakey_agent::app::App;
use rotakey_agent::audit::refusals::Refusals;
use rotakey_agent::clock::{Clock, SystemClock};
use rotakey_agent::config::Env;
use rotakey_agent::daemon::{Control, Desk, Order};
use rotakey_agent::metrics::Counters;
use rotakey_agent::printer::Printer;
use rotakey_agent::serving::books::Books;
use rotakey_agent::serving::holders::Holders;
use rotakey_agent::serving::leases::LeaseWriter;
use rotakey_agent::serving::{Serving, token};
use rotakey_core::credential::{Credentials, Generation, SecretAccessKey};
use rotakey_endpoint::connection::serve_one;
use rotakey_endpoint::imds::Tokens;
use rotakey_endpoint::publish::Snapshot;
use rotakey_endpoint::server::Limits;
use rotakey_endpoint::table::Caller;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use self::answers::{contains, read_answers};

const SECRET: &str = "SECRETkeySECRETkeySECRETkeySECRETkeySECR";

/// All statuses that there are, with what hyper answers by itself.
const STATUSES: [u16; 11] = [100, 200, 204, 400, 404, 409, 413, 414, 431, 500, 503];

const HEADERS: [&str; 6] = [
    "content-type",
    "content-length",
    "cache-control",
    "x-content-type-options",
    "date",
    "connection",
];

/// No order to the engine holds more.
const ORDER_BYTES_MAX: usize = 16 * 1024;

/// What the configuration of `deploy` says; `empty` has no key yet.
const CONFIG: &str = "[profile.deploy]\n[profile.empty]\n";

thread_local! {
    static WORLD: World = World::new();
}

/// Panics if these bytes bring out what must not come out.
pub fn check(bytes: &[u8]) {
    WORLD.with(|world| world.check(bytes));
}

/// An agent without sockets, whose engine notes what it is told.
struct World {
    desk: Arc<Desk>,
    told: Arc<Mutex<Vec<(String, usize)>>>,
    token: String,
    _leases: LeaseWriter,
    _home: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        write_private(&home.path().join("config.toml"), CONFIG);
        let path = home.path().to_str().expect("text");
        let env = Env::from([("ROTAKEY_HOME", path)]);
        let app = App::load(env, "deploy".to_owned(), &Printer::new()).expect("a configuration");
        let (clock, sources) = (SystemClock::new(), app.config.agent.sources);
        let names = ["deploy".to_owned(), "empty".to_owned()];
        let serving = Serving::build(&app, &names, sources, &Serving::default(), &clock.now());
        let serving = Arc::new(ArcSwap::from_pointee(serving.expect("it is served")));
        let key = Arc::clone(&serving.load().keys["deploy"]);
        key.key.publish(snapshot()).expect("the first");
        key.set_covered_until(Timestamp::MAX);
        let leases = LeaseWriter::start(Arc::downgrade(&serving), clock.clone(), |_| {});
        let leases = leases.expect("a thread");
        let holders = Holders::start(clock.clone()).expect("a thread");
        let told = Arc::<Mutex<Vec<_>>>::default();
        let counters = Arc::<Counters>::default();
        let desk = Desk {
            books: Arc::new(Books::new(
                Arc::clone(&serving),
                leases.asker(),
                holders.clone(),
                clock.clone(),
                Arc::clone(&counters),
                Refusals::start(app.audit(), holders.clone(), clock.clone()).expect("a thread"),
            )),
            serving,
            counters,
            app: ArcSwap::from_pointee(app.clone()),
            holders,
            imds_tokens: Tokens::new(zeroize::Zeroizing::new([7; 32])),
            since: clock.now().wall,
            listen: Default::default(),
            state: app.paths.state.clone(),
            engine: Some(engine(Arc::clone(&told))),
            board: Arc::default(),
            clock,
        };
        let token = std::fs::read_to_string(token::path(&app.paths.state, "deploy"));
        let token = token.expect("it was made");
        Self { desk: Arc::new(desk), told, token, _leases: leases, _home: home }
    }

    fn check(&self, bytes: &[u8]) {
        lock(&self.told).clear();
        let output = self.answers_to(bytes);
        let answers = read_answers(&output, &HEADERS, contains(bytes, b"HEAD "));
        let mut given = 0;
        for (status, body) in &answers {
            assert!(STATUSES.contains(status), "{status}");
            let is_secret = contains(body, b"SECRET") && !contains(bytes, b"SECRET");
            assert!(!is_secret || *status == 200, "{status} with a secret");
            given += usize::from(is_secret);
            if !body.is_empty() {
                let json: Result<serde_json::Value, _> = serde_json::from_slice(body);
                let is_metrics = body.ends_with(b"# EOF\n");
                assert!(is_metrics || json.is_ok_and(|json| json.is_object()), "{body:?}");
            }
        }
        let asked = count(bytes, b"/credential-process/deploy");
        assert!(given <= asked, "{given} keys for {asked} requests");
        let is_typed = contains(bytes, self.token.as_bytes());
        assert!(is_typed || !contains(&output, self.token.as_bytes()), "the token came out");
        self.wait_for_the_engine();
        let (told, ordered) = (lock(&self.told), count(bytes, b"POST "));
        assert!(told.len() <= ordered, "{} orders for {ordered} requests", told.len());
        for (profile, length) in &*told {
            assert!(["deploy", "empty"].contains(&profile.as_str()), "{profile}");
            assert!(*length <= ORDER_BYTES_MAX, "{length}");
        }
    }

    /// Until it has noted what it was told: nobody else waits for that when it is woken.
    fn wait_for_the_engine(&self) {
        let (done, wait) = oneshot::channel();
        let engine = self.desk.engine.as_ref().expect("there is one");
        engine.send(Order::TakeUp(String::new(), done)).expect("it goes on");
        wait.blocking_recv().expect("it goes on");
    }

    fn answers_to(&self, bytes: &[u8]) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let (server, client) = tokio::io::duplex(16 * 1024);
            let (mut from_server, mut to_server) = tokio::io::split(client);
            let control = Arc::new(Control(Arc::clone(&self.desk)));
            let caller = Caller::Process { uid: 0, pid: std::process::id() };
            let serving = serve_one(server, caller, control, Limits::default());
            let sending = async {
                // It may have had enough.
                let _ = to_server.write_all(bytes).await;
                let _ = to_server.shutdown().await;
            };
            let mut output = Vec::new();
            let receiving = from_server.read_to_end(&mut output);
            let all = async { tokio::join!(serving, sending, receiving) };
            let ended = tokio::time::timeout(Duration::from_secs(30), all).await;
            assert!(ended.is_ok(), "it hangs");
            output
        })
    }
}

/// Does at once what it is told, and notes it: the profile, and how long the code was.
fn engine(told: Arc<Mutex<Vec<(String, usize)>>>) -> mpsc::UnboundedSender<Order> {
    let (orders, mut inbox) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Some(order) = inbox.blocking_recv() {
            let note = |profile: String, length| lock(&told).push((profile, length));
            match order {
                Order::Wake(profile) => note(profile, 0),
                Order::TakeUp(profile, done) => {
                    if !profile.is_empty() {
                        note(profile, 0);
                    }
                    let _ = done.send(());
                }
                Order::Mfa(profile, code, done) => {
                    note(profile, code.len());
                    let is_good = code.len() == 6;
                    let _ = done.send(is_good.then_some(()).ok_or("no code".to_owned()));
                }
                other => panic!("nobody may say {other:?} over the socket"),
            }
        }
    });
    orders
}

fn snapshot() -> Snapshot {
    let key: rotakey_core::credential::AccessKeyId = "AKIAEXAMPLE".parse().expect("an id");
    let secret = SecretAccessKey::new(SECRET.to_owned());
    Snapshot {
        generation: Generation(1),
        credentials: Credentials::long_term(key.clone(), secret),
        key,
        valid_until: None,
        covered_until: Some(Timestamp::MAX),
    }
}

/// After a violation it goes on: the case is made smaller.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part).count()
}

fn write_private(path: &std::path::Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("writable");
}
