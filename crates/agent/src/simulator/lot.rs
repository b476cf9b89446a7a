//! What AWS draws by lot: ids, secrets and tokens.

use std::fmt;

use sha2::{Digest, Sha256};

/// Makes everything that AWS draws by lot, from a seed and a counter.
#[derive(Clone, Default)]
pub(super) struct Lot {
    drawn: u64,
    requests: u64,
}

impl fmt::Debug for Lot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} drawn", self.drawn)
    }
}

impl Lot {
    fn draw(&mut self, seed: u64) -> [u8; 32] {
        self.drawn += 1;
        let mut hash = Sha256::new();
        hash.update(seed.to_be_bytes());
        hash.update(self.drawn.to_be_bytes());
        hash.finalize().into()
    }

    /// An id such as `AKIA` and 16 of AWS's letters.
    pub(super) fn id(&mut self, seed: u64, prefix: &str) -> String {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let random = self.draw(seed);
        let letters = random[..16].iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        prefix.chars().chain(letters).collect()
    }

    /// A secret: 40 letters of Base64.
    pub(super) fn secret(&mut self, seed: u64) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let random = [self.draw(seed), self.draw(seed)].concat();
        random[..40].iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect()
    }

    /// A session token: opaque, and as long as those of AWS.
    pub(super) fn token(&mut self, seed: u64) -> String {
        let random: Vec<u8> = (0..12).flat_map(|_| self.draw(seed)).collect();
        format!("IQoJb3JpZ2luX2Vj{}", data_encoding::BASE64.encode(&random))
    }

    /// What names an upload in parts.
    pub(super) fn upload_id(&mut self, seed: u64) -> String {
        hex::encode(self.draw(seed))
    }

    /// A request id, in the form of a UUID. Counted apart: how often was asked must not decide what is made.
    pub(super) fn request_id(&mut self) -> String {
        self.requests += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.requests)
    }

    /// True in so many of a hundred cases.
    pub(super) fn chance(&mut self, seed: u64, percent: u8) -> bool {
        self.draw(seed)[0] % 100 < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lot_is_the_same_for_the_same_seed() {
        let (mut one, mut two) = (Lot::default(), Lot::default());
        let id = one.id(7, "AKIA");
        assert_eq!(id, two.id(7, "AKIA"));
        assert_eq!(id.len(), 20);
        assert_eq!(one.secret(7).len(), 40);
        assert_ne!(one.id(7, "AKIA"), id);
    }
}
