//! Whose placeholder a request is signed with: a program's, or that of a session. A session that is not in memory is taken up
//! from the token that its program holds: after a restart, or when it had to make room.

use std::cell::OnceCell;
use std::sync::Arc;

use http::request::Parts;

use super::Proxy;
use crate::proxy::grants::lasting;
use crate::proxy::keys::Keys;
use crate::proxy::names::TOKEN;
use crate::proxy::refusal::Refusal;
use crate::proxy::sessions::{Sealed, Session, is_local};
use crate::proxy::uri;
use crate::proxy::verify::{Placeholder, Placeholders};

/// The placeholders of either kind, for one request.
pub(super) struct Known<'a, K> {
    proxy: &'a Proxy<K>,
    head: &'a Parts,
    /// What was found. It is looked for once: it may have to make room at any time.
    session: OnceCell<Arc<Session>>,
    /// Why it cannot be told yet whether there is one.
    trouble: OnceCell<Refusal>,
}

impl<'a, K: Keys> Known<'a, K> {
    pub(super) fn new(proxy: &'a Proxy<K>, head: &'a Parts) -> Self {
        Self { proxy, head, session: OnceCell::new(), trouble: OnceCell::new() }
    }

    /// The session whose placeholder was asked for, if it was one's.
    pub(super) fn into_session(self) -> Option<Arc<Session>> {
        self.session.into_inner()
    }

    /// The placeholder of an id. Fails if it cannot be told yet whether there is one.
    pub(super) fn find(&self, id: &str) -> Result<Option<Arc<Placeholder>>, Refusal> {
        let keys = &self.proxy.keys;
        if !is_local(id) {
            return Ok(keys.placeholder(id));
        }
        let session = match self.proxy.sessions.get(id, keys.now()) {
            Some(session) => Some(session),
            None => self.proxy.recall(id, self.head)?,
        };
        let Some(session) = session else { return Ok(None) };
        let parent = keys.placeholder(session.parent.as_str());
        let parent = parent.filter(|parent| {
            parent.profile == session.profile
                && keys.session_epoch(&session.profile) == session.epoch
        });
        let Some(parent) = parent else {
            self.proxy.sessions.forget(id);
            return Ok(None);
        };
        let placeholder = Placeholder {
            id: session.local.access_key_id.clone(),
            secret: session.local.secret_access_key.clone(),
            token: session.local.session_token.clone(),
            // As they are now.
            ..Placeholder::clone(&parent)
        };
        self.session.get_or_init(|| session);
        Ok(Some(Arc::new(placeholder)))
    }
}

impl<K: Keys> Placeholders for Known<'_, K> {
    fn placeholder(&self, id: &str) -> Option<Arc<Placeholder>> {
        self.find(id).unwrap_or_else(|why| {
            self.trouble.get_or_init(|| why);
            None
        })
    }

    fn unknown(&self, id: &str) -> Refusal {
        let is_over = if is_local(id) { Refusal::SessionOver } else { Refusal::UnknownKey };
        self.trouble.get().copied().unwrap_or(is_over)
    }
}

impl<K: Keys> Proxy<K> {
    /// Takes up the session of a local id from the token of its request. What is not good is no session. Fails if it cannot be
    /// told yet whether it is good.
    fn recall(&self, id: &str, head: &Parts) -> Result<Option<Arc<Session>>, Refusal> {
        let Some(sealed) = token(head).and_then(|token| Sealed::read(&token)) else {
            return Ok(None);
        };
        let Some(seal) = self.keys.seal_named(sealed.name())? else { return Ok(None) };
        let Some(session) = sealed.open(id, &seal) else { return Ok(None) };
        let now = self.keys.now();
        let epoch = self.keys.session_epoch(&session.profile);
        let parent = self.keys.placeholder(session.parent.as_str());
        let is_good = session.expires > now
            && session.epoch == lasting(epoch)
            && parent.is_some_and(|parent| parent.profile == session.profile)
            // The profile has another key now; or this is the seal of another one than the session says it was made with.
            && (self.keys.seal(&session.profile, &session.real.key))
                .is_some_and(|own| own.name() == sealed.name());
        Ok(is_good.then(|| self.sessions.keep(Session { epoch, ..session }, now)))
    }
}

fn token(head: &Parts) -> Option<String> {
    if let Some(value) = head.headers.get(TOKEN) {
        return Some(value.to_str().ok()?.to_owned());
    }
    let mut pairs = uri::pairs(head.uri.query()?.as_bytes());
    let (_, value) =
        pairs.find(|(name, _)| name.eq_ignore_ascii_case(TOKEN.as_str().as_bytes()))?;
    String::from_utf8(value).ok()
}

#[cfg(test)]
mod tests;
