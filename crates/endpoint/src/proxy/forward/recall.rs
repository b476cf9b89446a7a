//! A session that is not in memory, taken up from the token that its program holds: after a restart, or when it had to make
//! room.

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::Proxy;
use crate::proxy::grants::lasting;
use crate::proxy::keys::Keys;
use crate::proxy::refusal::Refusal;
use crate::proxy::sessions::{Sealed, Session, find_local};
use crate::proxy::uri;

impl<K: Keys> Proxy<K> {
    /// Takes up the session that a request says it is signed with. What is not good is left to whoever verifies, who does not
    /// find it then. Fails if it cannot be told yet whether it is good.
    pub(super) fn recall(&self, head: &Parts) -> Result<(), Refusal> {
        let Some(id) = local_id(head) else { return Ok(()) };
        let now = self.keys.now();
        if self.sessions.get(id, now).is_some() {
            return Ok(());
        }
        let Some(sealed) = token(head).and_then(|token| Sealed::read(&token)) else {
            return Ok(());
        };
        let Some(seal) = self.keys.seal_named(sealed.name())? else { return Ok(()) };
        let Some(session) = sealed.open(id, &seal) else { return Ok(()) };
        let epoch = self.keys.session_epoch(&session.profile);
        let parent = self.keys.placeholder(session.parent.as_str());
        let is_good = session.expires > now
            && session.epoch == lasting(epoch)
            && parent.is_some_and(|parent| parent.profile == session.profile)
            // The profile has another key now; or this is the seal of another one than the session says it was made with.
            && (self.keys.seal(&session.profile, &session.real.key))
                .is_some_and(|own| own.name() == sealed.name());
        if is_good {
            self.sessions.keep(Session { epoch, ..session }, now);
        }
        Ok(())
    }
}

/// The local id in a signature, if there is one. Not believed: the token is, if it is of that id.
fn local_id(head: &Parts) -> Option<&str> {
    let in_header = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    in_header.and_then(find_local).or_else(|| find_local(head.uri.query()?))
}

fn token(head: &Parts) -> Option<String> {
    const NAME: &str = "x-amz-security-token";
    if let Some(value) = head.headers.get(NAME) {
        return Some(value.to_str().ok()?.to_owned());
    }
    let mut pairs = uri::pairs(head.uri.query()?.as_bytes());
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case(NAME.as_bytes()))?;
    String::from_utf8(value).ok()
}

#[cfg(test)]
mod tests;
