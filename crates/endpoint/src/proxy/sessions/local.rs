//! Local triples: ids, secrets and tokens that are good for this proxy alone.

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD};
use rotakey_core::credential::{Credentials, SecretAccessKey, SessionToken};
use zeroize::Zeroizing;

/// What the ids begin with. Like a program's placeholder none looks like a key of AWS; `1` is not among the letters and
/// digits that those are made of, so nobody takes one for the other.
const PREFIX: &str = "ROTAKEY1";

/// As long as an id of AWS.
const ID_CHARS: usize = 20;

/// Whether an id is one of a session, known or not.
pub(crate) fn is_local(id: &str) -> bool {
    id.len() == ID_CHARS && id.starts_with(PREFIX)
}

/// A new one, with a token that says nothing. `None` without randomness.
pub(super) fn make() -> Option<Credentials> {
    let text = |bytes: &[u8]| BASE64_NOPAD.encode(bytes);
    let id = random::<8>()?;
    let mut id = format!("{PREFIX}{}", BASE32_NOPAD.encode(&*id));
    id.truncate(ID_CHARS);
    Some(Credentials {
        access_key_id: id.parse().ok()?,
        secret_access_key: SecretAccessKey::new(text(&*random::<30>()?)),
        session_token: Some(SessionToken::new(text(&*random::<96>()?))),
    })
}

fn random<const BYTES: usize>() -> Option<Zeroizing<[u8; BYTES]>> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    getrandom::fill(bytes.as_mut_slice()).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triple_has_the_form_of_awss_and_no_two_are_the_same() {
        let (one, other) = (make().expect("random"), make().expect("random"));
        let id = one.access_key_id.as_str();
        assert!(is_local(id) && !is_local("ROTAKEYAAAAAAAAAAAAA"), "{id}");
        assert!(id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()), "{id}");
        assert_eq!(one.secret_access_key.expose().len(), 40);
        let token = one.session_token.as_ref().expect("there").expose();
        assert!(token.len() == 128 && !token.contains(['<', '&', '"', '\\']), "{token}");
        assert_ne!(one, other);
    }
}
