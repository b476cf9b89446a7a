//! Streams that outlive their key, and streams that were not what was signed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, Generation, SecretAccessKey};

use super::*;
use crate::proxy::grants::{Granting, Grants};
use crate::proxy::keys::{Forwarded, Pair, Virtualised};
use crate::proxy::payload::Payload;
use crate::proxy::verify::{Placeholder, Placeholders};
use crate::table::Refused;

/// Serves one key, and notes what it is told.
#[derive(Debug)]
struct Desk {
    current: AccessKeyId,
    told: Mutex<Vec<String>>,
}

impl Desk {
    fn serving(id: &str) -> Arc<Self> {
        Arc::new(Self { current: key(id), told: Mutex::default() })
    }

    fn note(&self, what: String) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Placeholders for Desk {
    fn placeholder(&self, _: &str) -> Option<Arc<Placeholder>> {
        None
    }
}

impl Granting for Desk {
    fn grants(&self, _: &str) -> Option<Arc<Grants>> {
        None
    }
    fn session_epoch(&self, _: &str) -> u64 {
        0
    }
}

impl Keys for Desk {
    fn pair(&self, _: &str, _: &str) -> Option<Pair> {
        let secret = SecretAccessKey::new("secret".to_owned());
        let snapshot = Snapshot {
            generation: Generation(2),
            key: self.current.clone(),
            credentials: Credentials::long_term(self.current.clone(), secret),
            valid_until: None,
            covered_until: None,
        };
        let current = Arc::new(snapshot);
        Some(Pair {
            current,
            other: None,
            endpoint: None,
            regions: Vec::new(),
            hosts: Arc::default(),
        })
    }

    fn goes_on(&self, profile: &str, key: &AccessKeyId) {
        self.note(format!("{profile}: {key} goes on"));
    }

    fn turned_away(&self, why: Refusal, profile: Option<&str>, _: &Caller) {
        self.note(format!("{}: {why:?}", profile.unwrap_or_default()));
    }

    fn fell_over(&self, _: &str, _: &AccessKeyId) {}
    fn unserved(&self, _: &str) {}
    fn may_ask(&self, _: &str, _: &Caller) -> bool {
        true
    }
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn forwarded(&self, _: &Forwarded<'_>) {}
    fn virtualised(&self, _: &Virtualised<'_>) {}
    fn refused(&self, _: Refused, _: Option<&Caller>, _: &str) {}
}

fn key(id: &str) -> AccessKeyId {
    id.parse().expect("an id")
}

/// Gives these pieces, one after the other.
struct Pieces(VecDeque<Result<&'static str, &'static str>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(self.0.pop_front().map(|piece| match piece {
            Ok(text) => Ok(Frame::data(text.into())),
            Err(text) => Err(text.into()),
        }))
    }
}

fn next<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Option<Result<Bytes, B::Error>> {
    let mut context = Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(frame) = Pin::new(body).poll_frame(&mut context) else { panic!("it waits") };
    frame.map(|frame| frame.map(|frame| frame.into_data().expect("no trailers")))
}

/// Once in a while: whoever is about to deactivate that key begins to wait anew.
#[test]
fn a_stream_that_goes_on_with_an_older_key_is_a_use_of_it() {
    let goes_on = vec!["app: AKIAOLD goes on"];
    for (served, is_session, told) in
        [("AKIANEW", false, goes_on), ("AKIAOLD", false, vec![]), ("AKIANEW", true, vec![])]
    {
        let keys = Desk::serving(served);
        let (profile, service) = ("app".to_owned(), "transcribe".to_owned());
        let key = key("AKIAOLD");
        let owner = Owner { keys: Arc::clone(&keys), profile, service, key, is_session };
        let body = Pieces([Ok("one"), Ok("two"), Ok("three")].into());
        let mut sending = Sending { body, owner, looked: Instant::now() };
        next(&mut sending);
        assert_eq!(keys.told(), Vec::<String>::new(), "it has just begun");
        sending.looked = Instant::now().checked_sub(LOOK).expect("the machine is older");
        next(&mut sending);
        assert_eq!(keys.told(), told);
        next(&mut sending);
        assert_eq!(keys.told(), Vec::<String>::new(), "it was said just now");
    }
}

#[test]
fn an_answer_ends_with_why_its_stream_was_refused_and_that_is_written_down_once() {
    let answering = |keys: &Arc<Desk>, verdict: Verdict, pieces: &[Result<_, _>]| {
        let body = Pieces(pieces.iter().copied().collect()).boxed_unsync();
        Answering::new(body, verdict, keys, "app", &Caller::Process { uid: 0, pid: 1 })
    };
    let keys = Desk::serving("AKIANEW");
    let verdict = Verdict::refused(Refusal::ChunkSignature);
    let mut refused = answering(&keys, verdict.clone(), &[Ok("one"), Err("reset")]);
    assert_eq!(next(&mut refused).expect("one").expect("no error"), "one");
    let last = next(&mut refused).expect("a last event").expect("no error");
    let words = b"a chunk's signature is not right";
    assert!(last.windows(words.len()).any(|part| part == words), "{last:?}");
    assert!(next(&mut refused).is_none() && refused.is_end_stream());
    drop(refused);
    assert_eq!(keys.told(), ["app: ChunkSignature"]);
    // A program that is gone before.
    drop(answering(&keys, verdict, &[]));
    assert_eq!(keys.told(), ["app: ChunkSignature"]);
    // AWS ended it before.
    let verdict = Verdict::refused(Refusal::WrongLength);
    assert!(next(&mut answering(&keys, verdict, &[])).is_none());
    assert_eq!(keys.told(), ["app: WrongLength"]);
    // AWS's own end, and AWS's own trouble, are AWS's.
    let mut other = answering(&keys, Verdict::default(), &[Ok("one"), Err("reset")]);
    assert!(next(&mut other).expect("one").is_ok() && next(&mut other).expect("one").is_err());
    drop(other);
    assert_eq!(keys.told(), Vec::<String>::new());
}

/// The others are signed once, by their heads.
#[test]
fn what_is_signed_piece_by_piece_is_watched() {
    let texts = ["PAYLOAD", "PAYLOAD-TRAILER", "EVENTS"];
    let texts = texts.map(|text| format!("STREAMING-AWS4-HMAC-SHA256-{text}"));
    let is_watched = |text: &str| Payload::parse(text).expect("known").goes_on_being_signed();
    assert!(texts.iter().all(|text| is_watched(text)));
    assert!(!is_watched("UNSIGNED-PAYLOAD") && !is_watched("STREAMING-UNSIGNED-PAYLOAD-TRAILER"));
}
