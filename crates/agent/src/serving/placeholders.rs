//! The placeholder keys of programs that go through the proxy, in `state/<profile>/placeholders`: one a program.
//!
//! They are worth nothing outside this machine: only our proxy knows them. They outlive restarts, since programs were started
//! with them, and change only when a person revokes them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rotakey_core::credential::{Credentials, SecretAccessKey};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::failure::{Exit, Failed};
use crate::placeholder::{ID_CHARS, PREFIX};
use crate::store::disk::{self, System};
use crate::store::durable::Disk;

const SECRET_CHARS: usize = 40;

/// The letters and digits that ids of AWS are made of (Base32, RFC 4648).
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Those of secrets (Base64).
const SECRET_ALPHABET: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// More programs share the last one.
const PROGRAMS_MAX: usize = 100;

/// Another process may be making one.
const PATIENCE: Duration = Duration::from_secs(3);

/// The program that the agent itself is, when it looks whether the proxy works.
pub const OWN: &str = "rotakey";

/// One program's pair.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pair {
    /// The program's name, for people.
    pub program: String,
    /// The id.
    pub access_key_id: String,
    secret_access_key: String,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.secret_access_key.zeroize();
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.access_key_id, self.program)
    }
}

impl Pair {
    fn make(program: &str) -> Result<Self, Failed> {
        let id = random(ID_ALPHABET, ID_CHARS - PREFIX.len())?;
        Ok(Self {
            program: program.to_owned(),
            access_key_id: format!("{PREFIX}{}", id.as_str()),
            secret_access_key: random(SECRET_ALPHABET, SECRET_CHARS)?.to_string(),
        })
    }

    /// As SDKs take it.
    pub fn credentials(&self) -> Option<Credentials> {
        let secret = SecretAccessKey::new(self.secret_access_key.clone());
        Some(Credentials::long_term(self.access_key_id.parse().ok()?, secret))
    }
}

/// Where a profile's are.
pub fn path(state: &Path, profile: &str) -> PathBuf {
    state.join(profile).join("placeholders")
}

/// All of a profile's.
pub fn load(state: &Path, profile: &str) -> Result<Vec<Pair>, Failed> {
    let path = path(state, profile);
    disk::check_private(&path).map_err(|error| unusable(&path, &error))?;
    let Some(bytes) = disk::read(&path).map_err(|error| unusable(&path, &error))? else {
        return Ok(Vec::new());
    };
    let bytes = Zeroizing::new(bytes);
    serde_json::from_slice(&bytes).map_err(|_| {
        unusable(&path, &std::io::Error::other("it is damaged; `rotakey revoke` begins it anew"))
    })
}

/// The pair of a program, and whether it had to be made.
pub fn load_or_make(state: &Path, profile: &str, program: &str) -> Result<(Pair, bool), Failed> {
    let find = |pairs: &[Pair]| pairs.iter().find(|pair| pair.program == program).cloned();
    if let Some(pair) = find(&load(state, profile)?) {
        return Ok((pair, false));
    }
    locked(state, profile, || {
        let mut pairs = load(state, profile)?;
        // Somebody may have been first.
        if let Some(pair) = find(&pairs) {
            return Ok((pair, true));
        }
        if let Some(last) = pairs.last().filter(|_| pairs.len() >= PROGRAMS_MAX) {
            return Ok((last.clone(), false));
        }
        let pair = Pair::make(program)?;
        pairs.push(pair.clone());
        write(state, profile, &pairs)?;
        Ok((pair, true))
    })
}

/// New pairs in the place of all that there are, which are worth nothing from then on. Says how many there were.
pub fn renew(state: &Path, profile: &str) -> Result<usize, Failed> {
    if disk::read(&path(state, profile)).ok().flatten().is_none() {
        return Ok(0);
    }
    locked(state, profile, || {
        let before = load(state, profile).unwrap_or_default();
        let pairs =
            before.iter().map(|pair| Pair::make(&pair.program)).collect::<Result<Vec<_>, _>>()?;
        write(state, profile, &pairs)?;
        Ok(pairs.len())
    })
}

/// What a program is called: the file's name, as far as it is plain.
pub fn program_name(command: &std::ffi::OsStr) -> String {
    let name = Path::new(command).file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: &char| c.is_ascii_alphanumeric() || "._-+".contains(*c);
    let name: String = name.chars().filter(plain).take(64).collect();
    if name.is_empty() || name == OWN { "program".to_owned() } else { name }
}

fn locked<T>(
    state: &Path,
    profile: &str,
    act: impl FnOnce() -> Result<T, Failed>,
) -> Result<T, Failed> {
    let dir = state.join(profile);
    let lock = dir.join("placeholders.lock");
    let held = disk::create_private_dir(&dir).and_then(|()| System.lock(&lock, PATIENCE));
    let Some(_held) = held.map_err(|error| unusable(&lock, &error))? else {
        return Err(unusable(&lock, &std::io::Error::other("another process holds it")));
    };
    act()
}

fn write(state: &Path, profile: &str, pairs: &[Pair]) -> Result<(), Failed> {
    let path = path(state, profile);
    let bytes = serde_json::to_vec(pairs).map(Zeroizing::new);
    let bytes = bytes.map_err(|error| unusable(&path, &std::io::Error::other(error)))?;
    disk::replace_unlocked(&path, &bytes).map_err(|error| unusable(&path, &error))
}

fn random(alphabet: &[u8], chars: usize) -> Result<Zeroizing<String>, Failed> {
    let mut bytes = Zeroizing::new(vec![0u8; chars]);
    getrandom::fill(&mut bytes)
        .map_err(|error| Failed::new(Exit::Failed, format!("no randomness: {error}")))?;
    // Both alphabets' lengths divide 256: each letter is as likely as any other.
    let letter = |byte: &u8| char::from(alphabet[usize::from(*byte) % alphabet.len()]);
    Ok(Zeroizing::new(bytes.iter().map(letter).collect()))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failed {
    Failed::new(Exit::Failed, format!("cannot use the placeholders {}: {error}", path.display()))
        .hint("make the folder yours alone (chmod 700, files 600); `rotakey revoke` makes new ones")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placeholder::is_placeholder;

    #[test]
    fn a_program_keeps_its_pair_until_it_is_revoked() {
        let dir = tempfile::tempdir().expect("a folder");
        let of = |program| load_or_make(dir.path(), "p", program).expect("writable");
        let ((first, made), (again, made_again)) = (of("aws"), of("aws"));
        assert!(made && !made_again && first.access_key_id == again.access_key_id);
        assert_ne!(of("python3").0.access_key_id, first.access_key_id);
        assert!(is_placeholder(&first.access_key_id) && !is_placeholder("AKIAIOSFODNN7EXAMPLE"));
        let is_id = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        assert!(first.access_key_id.bytes().all(is_id), "{first:?}");
        assert_eq!(first.secret_access_key.len(), 40);
        assert!(!format!("{first:?}").contains(&first.secret_access_key));
        assert_eq!(renew(dir.path(), "p").expect("writable"), 2);
        assert_ne!(of("aws").0.access_key_id, first.access_key_id);
        assert_eq!(renew(dir.path(), "other").expect("nothing"), 0);
    }

    #[test]
    fn a_program_is_called_by_its_files_name() {
        let name = |text: &str| program_name(std::ffi::OsStr::new(text));
        assert_eq!(name("/usr/bin/python3.11"), "python3.11");
        assert_eq!(
            (name("a b/c d"), name(".."), name("rotakey")),
            ("cd".into(), "program".into(), "program".into())
        );
    }
}
