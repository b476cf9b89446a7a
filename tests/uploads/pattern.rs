//! Bytes without an end that nobody has to keep: both ends make them anew.

use sha2::{Digest, Sha256};

/// How long the blocks are; SDKs' signed chunks are as long.
pub(crate) const BLOCK_BYTES: usize = 64 * 1024;

/// The first `length` bytes of a stream; each seed has its own, and no two blocks are the same.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    block: Vec<u8>,
    at: u64,
    length: u64,
}

impl Pattern {
    pub(crate) fn new(seed: u64, length: u64) -> Self {
        let mut block = vec![0; BLOCK_BYTES];
        fastrand::Rng::with_seed(seed).fill(&mut block);
        Self { block, at: 0, length }
    }

    /// All of it at once.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.flatten().collect()
    }

    /// SHA-256, in hexadecimal digits.
    pub(crate) fn hash(self) -> String {
        let mut hash = Sha256::new();
        self.for_each(|block| hash.update(&block));
        hex::encode(hash.finalize())
    }
}

impl Iterator for Pattern {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let left = self.length - self.at;
        if left == 0 {
            return None;
        }
        let mut block = self.block.clone();
        block[..8].copy_from_slice(&self.at.to_be_bytes());
        block.truncate(usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES));
        self.at += block.len() as u64;
        Some(block)
    }
}
