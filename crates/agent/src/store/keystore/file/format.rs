//! What stands in the file: a header with the wrapped data key, and an entry for each secret.

use std::collections::BTreeMap;

use rotakey_core::credential::AccessKeyId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of the format that is written.
pub(super) const VERSION: u64 = 1;
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// Of Argon2id, with one lane.
    pub(super) cost: Cost,
    #[serde(with = "hexadecimal")]
    pub(super) salt: [u8; 16],
    pub(super) wrapped_key: Sealed,
    /// SHA-256 of the above: tells a damaged header from a wrong passphrase.
    pub(super) checksum: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    #[serde(with = "hexadecimal")]
    pub(super) nonce: [u8; 24],
    #[serde(with = "hexadecimal")]
    pub(super) ciphertext: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    pub(super) version: u64,
    pub(super) header: Header,
    pub(super) entries: BTreeMap<AccessKeyId, Sealed>,
}

/// The one field that every version has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u64,
}

impl Contents {
    /// Reads what stands in a file; else, what is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let any: AnyVersion = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if any.version > VERSION {
            return Err("was written by a newer rotakey".to_owned());
        }
        if any.version != VERSION {
            return Err("it names a version that never was".to_owned());
        }
        let contents: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if contents.header.checksum != contents.header.sum() {
            return Err("the checksum of its header is wrong".to_owned());
        }
        Ok(contents)
    }
}

impl Header {
    /// What the wrapped key is bound to.
    pub(super) fn context(&self) -> String {
        let Cost { memory_kib, passes } = self.cost;
        format!("rotakey keys {VERSION} data key argon2id {memory_kib} {passes}")
    }

    pub(super) fn sum(&self) -> String {
        let mut sum = Sha256::new();
        sum.update(self.context());
        sum.update(self.salt);
        sum.update(self.wrapped_key.nonce);
        sum.update(&self.wrapped_key.ciphertext);
        hex::encode(sum.finalize())
    }
}

/// What an entry is bound to: moved to another id, it does not open.
pub(super) fn entry_context(id: &AccessKeyId) -> String {
    format!("rotakey keys {VERSION} entry {id}")
}

/// Bytes as hexadecimal text.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        bytes: impl AsRef<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, T: TryFrom<Vec<u8>>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        T::try_from(bytes).map_err(|_| D::Error::custom("a field has a wrong length"))
    }
}
