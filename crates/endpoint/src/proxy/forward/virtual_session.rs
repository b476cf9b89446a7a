//! A request for a session, and its answer: the program gets a local triple, and the real one stays here.

use std::sync::Arc;

use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, Full};

use super::answer::Inspected;
use super::request::Asked;
use super::{Download, Proxy};
use crate::proxy::error_body;
use crate::proxy::keys::{Keys, Virtualised};
use crate::proxy::operations::{self, Asks};
use crate::proxy::refusal::Refusal;
use crate::proxy::sessions::{NotReadable, Session, Temporary, token_of};
use crate::publish::Snapshot;
use crate::table::Caller;

/// A session that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    operation: &'static str,
    /// The placeholder at the root: a session's own if a session asks.
    parent: rotakey_core::credential::AccessKeyId,
    /// The profile's, before AWS is asked: what is made void meanwhile is this session, too.
    epoch: u64,
    role: Option<String>,
    caller: Caller,
}

impl<K: Keys> Proxy<K> {
    /// Whether a request asks for a session that the profile's programs may have. Refuses what asks for other credentials.
    pub(super) fn wanted(
        &self,
        head: &http::request::Parts,
        body: &[u8],
        verified: &crate::proxy::verify::Verified,
        by: Option<&Arc<Session>>,
        caller: &Caller,
    ) -> Result<Option<Wanted>, Refusal> {
        let placeholder = verified.placeholder();
        let operation = match operations::asks(&verified.scope().service, head, body) {
            Asks::Nothing => return Ok(None),
            Asks::BucketSession => return Err(Refusal::BucketSession),
            Asks::Other => return Err(Refusal::OperationRefused),
            Asks::Session(operation) => operation,
        };
        let grants = self.keys.grants(&placeholder.profile);
        let is_granted = grants.is_some_and(|grants| {
            grants.virtual_sessions.iter().any(|granted| granted == operation)
        });
        if !is_granted {
            return Err(Refusal::NotVirtual);
        }
        let parent = by.map_or_else(|| placeholder.id.clone(), |session| session.parent.clone());
        // One that asks for another is not older than that.
        let epoch = by
            .map_or_else(|| self.keys.session_epoch(&placeholder.profile), |session| session.epoch);
        let role = operations::role(operation, head, body);
        Ok(Some(Wanted { operation, parent, epoch, role, caller: caller.clone() }))
    }

    /// The answer with a local triple in the place of the real one.
    pub(super) fn virtualised(
        &self,
        asked: &Asked<'_>,
        wanted: &Wanted,
        with: &Snapshot,
        seen: Inspected,
    ) -> Result<Response<Download>, Refusal> {
        let (mut head, body) = seen.whole().ok_or(Refusal::AnswerUnreadable)?;
        let plain = error_body::inflated(&head.headers, &body);
        let bytes = plain.as_deref().unwrap_or(&body);
        let unreadable = |NotReadable| Refusal::AnswerUnreadable;
        let mut found = Temporary::read(bytes).map_err(unreadable)?;
        let profile = &asked.verified.placeholder().profile;
        let (real, expires) = (found.real.clone(), found.expires);
        let mut session = Session {
            local: found.local.clone(),
            real: Arc::new(Snapshot {
                credentials: real,
                valid_until: Some(expires),
                ..with.clone()
            }),
            parent: wanted.parent.clone(),
            profile: profile.clone(),
            expires,
            epoch: wanted.epoch,
        };
        // Without a seal the session ends with this process.
        let seal = self.keys.seal(profile, &with.key);
        if let Some(token) = seal.and_then(|seal| token_of(&session, &seal)) {
            session.local.session_token = Some(token.clone());
            found.local.session_token = Some(token);
        }
        let rewritten = found.rewritten(bytes).map_err(unreadable)?;
        self.keys.virtualised(&Virtualised {
            profile,
            placeholder: &wanted.parent,
            operation: wanted.operation,
            role: wanted.role.as_deref(),
            caller: &wanted.caller,
            real: &found.real.access_key_id,
            local: &found.local.access_key_id,
            until: expires,
        });
        self.sessions.keep(session, self.keys.now());
        let bytes = error_body::replaced(&mut head.headers, plain.is_some(), rewritten);
        // It holds what a program signs with.
        head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        Ok(Response::from_parts(head, body))
    }
}
