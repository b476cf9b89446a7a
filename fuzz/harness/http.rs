//! Any bytes as requests to the container endpoint and IMDS, and what must hold whatever they are.
//!
//! They go in twice: over a connection, as they are; and as the head of one request, past hyper's parser, which may one day
//! let more through. Nothing may panic or hang; every answer is one of ours, whole; and credentials come out only for the
//! caller's token, once each time that it is shown.

#[path = "answers.rs"]
mod answers;
#[path = "heads.rs"]
mod heads;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use http_body_util::BodyExt;
use jiff::Timestamp;
use rotakey_core::credential::{Credentials, Generation, SecretAccessKey, SessionToken};
use rotakey_endpoint::answer::Answer;
use rotakey_endpoint::connection::serve_one;
use rotakey_endpoint::imds::Tokens;
use rotakey_endpoint::publish::{Publisher, Snapshot};
use rotakey_endpoint::route;
use rotakey_endpoint::server::{Handler, Limits};
use rotakey_endpoint::table::{
    Accounts, Caller, CallerToken, Handed, Imds, Profile, Refused, Table,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use self::answers::{contains, read_answers};
use self::heads::read_head;

/// What a caller has to show. A real one is 64 hexadecimal digits.
const TOKEN: &str = "0123456789abcdef0123456789abcdefTOKEN";

const SECRET: &str = "SECRETkeySECRETkeySECRETkeySECRETkeySECR";
const SESSION: &str = "SECRETsessionSECRETsession";
const CALLER: Caller = Caller::Socket { uid: 1000, inode: 1 };

/// All statuses that there are: ours, and what hyper answers to what it cannot read.
const STATUSES: [u16; 9] = [200, 400, 401, 403, 404, 405, 414, 431, 503];

/// All headers that there are.
const HEADERS: [&str; 8] = [
    "content-type",
    "content-length",
    "cache-control",
    "x-content-type-options",
    "date",
    "connection",
    "allow",
    "x-aws-ec2-metadata-token-ttl-seconds",
];

/// Panics if these bytes bring out what must not come out.
pub fn check(bytes: &[u8]) {
    over_a_connection(bytes);
    as_a_head(bytes);
}

fn over_a_connection(bytes: &[u8]) {
    let desk = Arc::new(Desk::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let output = runtime.expect("a runtime").block_on(async {
        let (server, client) = tokio::io::duplex(16 * 1024);
        let (mut from_server, mut to_server) = tokio::io::split(client);
        let serving = serve_one(server, CALLER, Arc::clone(&desk), Limits::default());
        let sending = async {
            // It may have had enough.
            let _ = to_server.write_all(bytes).await;
            let _ = to_server.shutdown().await;
        };
        let mut output = Vec::new();
        let receiving = from_server.read_to_end(&mut output);
        let all = async { tokio::join!(serving, sending, receiving) };
        let ended = tokio::time::timeout(Duration::from_secs(5), all).await;
        assert!(ended.is_ok(), "it hangs");
        output
    });
    let answers = read_answers(&output, &HEADERS, contains(bytes, b"HEAD "));
    let (mut given, mut handed) = (0, 0);
    for (status, body) in &answers {
        // 100 would say that somebody reads a body.
        assert!(STATUSES.contains(status), "{status}");
        let is_secret = contains(body, b"SECRET");
        assert!(!is_secret || *status == 200, "{status} with a secret");
        given += usize::from(is_secret);
    }
    handed += desk.handed.lock().expect("whole").len();
    let shown = bytes.windows(TOKEN.len()).filter(|part| *part == TOKEN.as_bytes()).count();
    assert!(given <= shown, "{given} credentials for {shown} tokens");
    // An answer that is accounted for may be cut off; one that is not may not go out.
    assert!(given <= handed, "{given} credentials, of which {handed} are accounted for");
    assert!(contains(&output, b"SECRET") == (given > 0), "a secret outside of an answer");
}

fn as_a_head(bytes: &[u8]) {
    let Some(head) = read_head(bytes) else { return };
    let desk = Desk::new();
    let answer = route::answer(&desk.table, &desk, &desk.tokens, now(), &CALLER, &head);
    let (parts, body) = answer.into_parts();
    let body = now_or_never(body.collect()).to_bytes();
    assert!(STATUSES.contains(&parts.status.as_u16()), "{}", parts.status);
    assert!(parts.headers.keys().all(|name| HEADERS.contains(&name.as_str())), "{parts:?}");
    let (handed, refused) = (desk.handed.into_inner(), desk.refused.into_inner());
    let (handed, refused) = (handed.expect("whole"), refused.expect("whole"));
    if parts.status == 200 {
        assert!(refused.is_empty(), "{refused:?}");
        let is_secret = contains(&body, b"SECRET");
        assert_eq!(usize::from(is_secret), handed.len());
        let shown = head.headers.get_all("authorization").iter().collect::<Vec<_>>();
        let is_shown = shown.len() == 1 && shown[0].as_bytes() == TOKEN.as_bytes();
        assert!(!is_secret || is_shown, "{head:?}");
        assert!(!is_secret || head.uri.path() == "/credentials/deploy", "{head:?}");
        let hosts: Vec<_> = head.headers.get_all("host").iter().map(|h| h.as_bytes()).collect();
        let [host] = &hosts[..] else { panic!("{head:?}") };
        let host = host.to_ascii_lowercase();
        let ours: [&[u8]; 3] = [b"127.", b"localhost", b"["];
        assert!(ours.iter().any(|start| host.starts_with(start)), "{head:?}");
        assert!(!contains(&host, b"evil"), "{head:?}");
        for name in ["origin", "referer", "x-forwarded-for", "sec-fetch-site", "transfer-encoding"]
        {
            assert!(!head.headers.contains_key(name), "{head:?}");
        }
    } else {
        assert!(handed.is_empty() && !contains(&body, b"SECRET"), "{parts:?}");
        let json: Result<(), _> = is_refusal(&body);
        assert!(json.is_ok(), "{json:?}: {:?}", String::from_utf8_lossy(&body));
        let [what] = &refused[..] else { panic!("{refused:?}") };
        assert!(!what.contains(TOKEN) && !what.contains(char::is_control), "{what:?}");
        assert!(what.len() < 1000, "{what}");
    }
}

/// `{"code":"...","message":"..."}`, and nothing else.
fn is_refusal(body: &[u8]) -> Result<(), &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "not text")?;
    let text = text.strip_prefix("{\"code\":\"").ok_or("no code")?;
    let (code, message) = text.split_once("\",\"message\":\"").ok_or("no message")?;
    let message = message.strip_suffix("\"}").ok_or("no end")?;
    let is_plain = |text: &str| !text.is_empty() && !text.contains(['"', '\\']);
    (is_plain(code) && is_plain(message)).then_some(()).ok_or("not plain")
}

/// A body that is in memory is there at once.
fn now_or_never<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(result) => result.expect("it cannot fail"),
        std::task::Poll::Pending => panic!("it is there at once"),
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

/// One profile, served by both sources, and what came of the requests.
struct Desk {
    table: Table,
    tokens: Tokens,
    handed: Mutex<Vec<Handed>>,
    refused: Mutex<Vec<String>>,
}

impl Desk {
    fn new() -> Self {
        let temporary = Publisher::new();
        temporary.publish(snapshot()).expect("the first");
        let deploy = Arc::new(Profile {
            ready: arc_swap::ArcSwapOption::empty(),
            out_of_service: arc_swap::ArcSwapOption::empty(),
            name: "deploy".to_owned(),
            account_id: None,
            lease: Duration::from_secs(3600),
            process: Publisher::new().subscribe(),
            temporary: temporary.subscribe(),
            token: ArcSwap::from_pointee(CallerToken::new(TOKEN.to_owned())),
            executables: Vec::new(),
        });
        let imds = Some(Imds { profile: Arc::clone(&deploy), v1: false });
        let profiles = [(deploy.name.clone(), deploy)].into();
        let table = Table { profiles, container: true, imds };
        let tokens = Tokens::new(Zeroizing::new([7; 32]));
        Self { table, tokens, handed: Mutex::default(), refused: Mutex::default() }
    }
}

fn snapshot() -> Snapshot {
    let credentials = Credentials {
        access_key_id: "ASIAEXAMPLE".parse().expect("an id"),
        secret_access_key: SecretAccessKey::new(SECRET.to_owned()),
        session_token: Some(SessionToken::new(SESSION.to_owned())),
    };
    Snapshot {
        generation: Generation(1),
        key: "AKIAEXAMPLE".parse().expect("an id"),
        credentials,
        valid_until: None,
        covered_until: Some(Timestamp::MAX),
    }
}

impl Accounts for Desk {
    fn is_current(&self, _: &Profile, _: Generation) -> bool {
        true
    }

    fn handed(&self, handed: Handed) {
        self.handed.lock().expect("whole").push(handed);
    }

    fn refused(&self, _: Refused, _: Option<&Caller>, what: &str) {
        self.refused.lock().expect("whole").push(what.to_owned());
    }
}

impl Handler for Desk {
    async fn handle(
        &self,
        caller: &Caller,
        request: http::Request<hyper::body::Incoming>,
    ) -> Answer {
        let (head, _) = request.into_parts();
        route::answer(&self.table, self, &self.tokens, now(), caller, &head)
    }

    fn refused(&self, why: Refused, caller: Option<&Caller>, what: &str) {
        Accounts::refused(self, why, caller, what);
    }
}
