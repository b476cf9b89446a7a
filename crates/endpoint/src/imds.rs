//! The tokens of IMDSv2: `PUT /latest/api/token` gives one, every other request shows it.
//!
//! A token says itself when it ends, and is signed with a key of the agent's. So none has to be remembered: they cost no
//! memory, however many are asked for, and outlive a restart of the agent with the same key.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use rotakey_core::time::later;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The longest life of a token, in seconds (Amazon EC2 user guide, "Use the Instance Metadata Service").
pub const TTL_SECONDS_MAX: u32 = 21_600;

const END: usize = 8;
const NONCE: usize = 16;
const SIGNED: usize = END + NONCE;
const TOKEN: usize = SIGNED + 32;

/// Issues tokens, and tells whether one is its own. `Hmac` wipes its state when it is dropped.
#[derive(Clone)]
pub struct Tokens(Hmac<Sha256>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Tokens {
    /// Tokens that are signed with this key.
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(Hmac::new_from_slice(&*key).expect("HMAC takes keys of any length"))
    }

    /// A new token, good for `ttl_seconds`. Fails only if the system has no random numbers.
    pub fn issue(
        &self,
        now: Timestamp,
        ttl_seconds: u32,
    ) -> Result<Zeroizing<String>, getrandom::Error> {
        let end = later(now, Duration::from_secs(u64::from(ttl_seconds)));
        let mut token = Zeroizing::new([0; TOKEN]);
        token[..END].copy_from_slice(&end.as_second().to_be_bytes());
        getrandom::fill(&mut token[END..SIGNED])?;
        let signature = self.0.clone().chain_update(&token[..SIGNED]).finalize();
        token[SIGNED..].copy_from_slice(&signature.into_bytes());
        Ok(Zeroizing::new(hex::encode(&token[..])))
    }

    /// Whether this is a token of ours that has not ended. Signatures are compared in constant time.
    pub fn is_good(&self, token: &[u8], now: Timestamp) -> bool {
        let mut bytes = [0; TOKEN];
        if hex::decode_to_slice(token, &mut bytes).is_err() {
            return false;
        }
        let signature = self.0.clone().chain_update(&bytes[..SIGNED]);
        if signature.verify_slice(&bytes[SIGNED..]).is_err() {
            return false;
        }
        let end = bytes.first_chunk().map_or(i64::MIN, |end| i64::from_be_bytes(*end));
        // One from a time when the clock was ahead would live too long.
        let latest = now.as_second().saturating_add(i64::from(TTL_SECONDS_MAX));
        now.as_second() < end && end <= latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    #[test]
    fn a_token_is_good_until_it_ends_and_only_as_it_was_issued() {
        let tokens = Tokens::new(Zeroizing::new([7; 32]));
        let token = tokens.issue(at(0), 60).expect("random numbers");
        assert_ne!(*token, *tokens.issue(at(0), 60).expect("random numbers"));
        for (second, is_good) in [(0, true), (59, true), (60, false), (1_000_000, false)] {
            assert_eq!(tokens.is_good(token.as_bytes(), at(second)), is_good, "{second}");
        }
        let again = Tokens::new(Zeroizing::new([7; 32]));
        assert!(again.is_good(token.as_bytes(), at(59)));
        let other = Tokens::new(Zeroizing::new([8; 32]));
        assert!(!other.is_good(token.as_bytes(), at(0)));
        for place in 0..token.len() {
            let mut changed = token.as_bytes().to_vec();
            changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
            assert!(!tokens.is_good(&changed, at(0)), "{place}");
        }
        assert!(!tokens.is_good(b"", at(0)));
        assert!(!tokens.is_good(&token.as_bytes()[2..], at(0)));
    }

    #[test]
    fn a_token_of_a_clock_that_was_ahead_does_not_outlive_the_longest_life() {
        let tokens = Tokens::new(Zeroizing::new([7; 32]));
        let token = tokens.issue(at(0), TTL_SECONDS_MAX).expect("random numbers");
        assert!(tokens.is_good(token.as_bytes(), at(0)));
        assert!(!tokens.is_good(token.as_bytes(), at(-1)));
    }
}
