//! The state machine: requests in, replies out, and time an argument.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::account::{Key, User};
use super::admission::Caller;
use super::answer::{Answer, KeyRow};
use super::behaviour::{Behaviour, Fault};
use super::dynamodb::Tables;
use super::lot::Lot;
use super::message::{ApiError, Call, Delivery, Event, Reply, Request};
use super::policies::QUARANTINE_POLICY;
use super::refused::throttled;
use super::roles::Role;
use super::s3;
use super::sessions::Session;

/// The log keeps this many events.
const LOG_LIMIT: usize = 10_000;

/// An AWS account with IAM and STS. It has no clock and does no I/O; equal calls give equal answers.
#[derive(Clone, Default)]
pub struct Simulator {
    pub(super) behaviour: Behaviour,
    pub(super) users: BTreeMap<String, User>,
    /// In the order of their creation, which is the order of lists.
    pub(super) keys: Vec<Key>,
    pub(super) roles: BTreeMap<String, Role>,
    /// By the id of their key. Shared, as accounts are copied often.
    pub(super) sessions: BTreeMap<String, Arc<Session>>,
    pub(super) s3: Arc<s3::Store>,
    pub(super) dynamodb: Arc<Tables>,
    pub(super) lot: Lot,
    /// Per action; `None` lets a call through.
    faults: BTreeMap<String, VecDeque<Option<Fault>>>,
    /// Per action: a second, and the calls in it.
    rates: BTreeMap<String, (i64, u32)>,
    pub(super) log: VecDeque<Event>,
    /// How many events came before those in the log.
    pub(super) log_start: usize,
}

/// Everything that decides its answers; neither secrets nor what is past.
impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { behaviour, users, keys, lot, faults, rates, .. } = self;
        let Self { roles, sessions, s3, dynamodb, .. } = self;
        write!(f, "{behaviour:?} {users:?} {keys:?} {lot:?} {faults:?} {rates:?} ")?;
        write!(f, "{roles:?} {sessions:?} {s3:?} {dynamodb:?}")
    }
}

impl Simulator {
    /// An account without users.
    pub fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, ..Self::default() }
    }

    /// How the account behaves.
    pub fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// The server's own time.
    pub fn server_time(&self, now: Timestamp) -> Timestamp {
        let offset = SignedDuration::from_millis(self.behaviour.server_offset);
        now.checked_add(offset).unwrap_or(now)
    }

    /// The secret of a key, deleted and temporary ones included: what a front checks signatures with.
    pub fn secret_of(&self, id: &str) -> Option<&str> {
        let session = || self.sessions.get(id).map(|session| session.row.secret.as_str());
        self.key(id).map(|key| key.secret.as_str()).or_else(session)
    }

    /// What goes with the secret of a session.
    pub fn token_of(&self, id: &str) -> Option<&str> {
        self.sessions.get(id).map(|session| session.row.token.as_str())
    }

    /// The keys as they truly are, in the order of their creation.
    pub fn keys(&self) -> impl Iterator<Item = KeyRow> {
        self.keys.iter().filter_map(|key| Some(key.row(key.state().status()?)))
    }

    /// What happened, the oldest first.
    pub fn log(&self) -> impl Iterator<Item = &Event> {
        self.log.iter()
    }

    /// Forgets what happened: who copies an account often need not carry it along.
    pub fn forget_log(&mut self) {
        self.log.clear();
        self.log_start = 0;
    }

    /// Makes the next `times` calls of `action` (`*`: of any) go wrong, after `after` calls that do not.
    pub fn script(&mut self, action: &str, fault: Fault, times: u32, after: u32) {
        let queue = self.faults.entry(action.to_owned()).or_default();
        queue.extend((0..after).map(|_| None));
        queue.extend((0..times).map(|_| Some(fault.clone())));
    }

    /// Forgets all faults scripted and not yet met.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Answers one call.
    pub fn handle(&mut self, now: Timestamp, request: &Request) -> Reply {
        let fault = self.next_fault(&request.action);
        let done = match &fault {
            Some(fault) if !fault.is_done() => None,
            _ if self.is_over_rate(now, &request.action) => {
                Some(Err(throttled(request.protocol())))
            }
            _ => Some(self.perform(now, request)),
        };
        let target = match &done {
            Some(Ok(Answer::Created { key, .. })) => Some(key.id.clone()),
            Some(Ok(Answer::Session(session, _))) => Some(session.id.clone()),
            _ => request.target(),
        };
        let undone = || Err(ApiError::new(500, "InternalFailure", "not done"));
        let (result, delivery) = match fault {
            None => (done.unwrap_or_else(undone), Delivery::Sent),
            Some(Fault::Lost | Fault::Dropped) => (done.unwrap_or_else(undone), Delivery::Dropped),
            Some(Fault::Hung | Fault::HungNotDone) => (done.unwrap_or_else(undone), Delivery::Hung),
            Some(Fault::Truncated) => (done.unwrap_or_else(undone), Delivery::Truncated),
            Some(Fault::Throttled) => (Err(throttled(request.protocol())), Delivery::Sent),
            Some(Fault::Error { status, code, done: is_done }) => {
                let message = if is_done { "An error occurred." } else { "Nothing was done." };
                (Err(ApiError::new(status, &code, message)), Delivery::Sent)
            }
        };
        self.note(Event {
            at: now,
            action: request.action.clone(),
            signer: request.signer().map(str::to_owned),
            minted_from: request
                .signer()
                .and_then(|id| self.sessions.get(id))
                .map(|session| session.caller.root.clone()),
            vantage: format!("{}/{}", request.service, request.region()),
            target,
            outcome: result.as_ref().map_or_else(|e| e.code.clone(), |_| "Done".to_owned()),
            delivery,
            user_agent: request.user_agent.clone(),
        });
        let request_id = self.lot.request_id();
        Reply { result, delivery, request_id, server_time: self.server_time(now) }
    }

    fn note(&mut self, event: Event) {
        if self.log.len() == LOG_LIMIT {
            self.log.pop_front();
            self.log_start += 1;
        }
        self.log.push_back(event);
    }

    fn next_fault(&mut self, action: &str) -> Option<Fault> {
        for name in [action, "*"] {
            let queue = self.faults.get_mut(name).filter(|queue| !queue.is_empty());
            if let Some(next) = queue.and_then(VecDeque::pop_front) {
                return next;
            }
        }
        None
    }

    fn is_over_rate(&mut self, now: Timestamp, action: &str) -> bool {
        let rate = &self.behaviour.rate;
        let Some(limit) = rate.get(action).or_else(|| rate.get("*")).copied() else {
            return false;
        };
        let second = now.as_second();
        let (current, calls) = self.rates.entry(action.to_owned()).or_insert((second, 0));
        if *current != second {
            (*current, *calls) = (second, 0);
        }
        *calls += 1;
        *calls > limit
    }

    fn perform(&mut self, now: Timestamp, request: &Request) -> Result<Answer, ApiError> {
        let caller = match &request.admitted {
            Some(admitted) => admitted.clone()?,
            None => self.authenticate(now, request)?,
        };
        match &request.call {
            Call::Query => self.query(now, &caller, request),
            Call::S3(call) => self.s3(now, &caller, request, call),
            Call::Dynamodb(order) => self.dynamodb(&caller, request, order),
        }
    }

    fn query(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &Request,
    ) -> Result<Answer, ApiError> {
        match request.action.as_str() {
            "GetCallerIdentity" => {
                let (arn, user_id) = self.identity(caller)?;
                Ok(Answer::Identity { account: self.behaviour.account_id.clone(), arn, user_id })
            }
            "GetSessionToken" => self.get_session_token(now, caller, request),
            "AssumeRole" => self.assume_role(now, caller, request),
            _ => self.iam(now, caller, request),
        }
    }

    pub(super) fn key(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    pub(super) fn user(&self, name: &str) -> Result<&User, ApiError> {
        self.users.get(name).ok_or_else(|| ApiError::no_user(name))
    }

    pub(super) fn user_mut(&mut self, name: &str) -> Result<&mut User, ApiError> {
        self.users.get_mut(name).ok_or_else(|| ApiError::no_user(name))
    }

    pub(super) fn arn(&self, resource: &str) -> String {
        let Behaviour { partition, account_id, .. } = &self.behaviour;
        format!("arn:{partition}:iam::{account_id}:{resource}")
    }

    pub(super) fn quarantine_arn(&self) -> String {
        format!("arn:{}:iam::aws:policy/{QUARANTINE_POLICY}", self.behaviour.partition)
    }
}

pub(super) fn need<'a>(request: &'a Request, parameter: &str) -> Result<&'a str, ApiError> {
    request.param(parameter).ok_or_else(|| ApiError::missing(parameter))
}

/// AWS tells times in whole seconds.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
