//! The certificate authority of this installation, in `state/ca-key`, and what programs are pointed at: `state/ca.pem`, its
//! certificate, and `state/ca-bundle.pem`, which has the roots of this machine, too.
//!
//! It is made when a profile first has `proxy_connect = true`, and lives for a year. Programs read certificates when they
//! start: the next authority is shown to them a quarter of a year before it is used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rotakey_endpoint::proxy::connect::{Kept, pem};
use rotakey_endpoint::proxy::roots;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::failure::{Exit, Failed};
use crate::store::disk::{self, System};
use crate::store::durable::Disk;

/// The next one is made so many days before the end of the last one.
const SHOWN_DAYS: i32 = 90;

/// And used so many days before.
const USED_DAYS: i32 = 2;

/// Another process may be making one.
const PATIENCE: Duration = Duration::from_secs(3);

/// The authorities that hold, in the order in which they are used: one, or one and its successor.
#[derive(Clone, Debug)]
pub struct Authorities(Vec<Kept>);

/// One of them on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    from: Date,
    until: Date,
    certificate: String,
    key: String,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// Where the key is.
pub fn key_path(state: &Path) -> PathBuf {
    state.join("ca-key")
}

/// Where the certificate is.
pub fn pem_path(state: &Path) -> PathBuf {
    state.join("ca.pem")
}

/// Where it is together with the roots of this machine, for programs that trust one file alone.
pub fn bundle_path(state: &Path) -> PathBuf {
    state.join("ca-bundle.pem")
}

impl Authorities {
    /// What is on disk; `None` if there is none. Nothing is written.
    pub fn load(state: &Path) -> Result<Option<Self>, Failed> {
        let path = key_path(state);
        disk::check_private(&path).map_err(|error| unusable(&path, &error))?;
        let Some(bytes) = disk::read(&path).map_err(|error| unusable(&path, &error))? else {
            return Ok(None);
        };
        let bytes = Zeroizing::new(bytes);
        let damaged = || unusable(&path, &std::io::Error::other("it is damaged"));
        let stored: Vec<Stored> = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        let kept: Option<Vec<Kept>> = stored.iter().map(Stored::kept).collect();
        let kept = kept.filter(|kept| !kept.is_empty()).ok_or_else(damaged)?;
        Ok(Some(Self(kept)))
    }

    /// Those that hold; made, if there are none, or none that holds for long.
    pub fn load_or_make(state: &Path, now: Timestamp) -> Result<Self, Failed> {
        let today = now.to_zoned(TimeZone::UTC).date();
        if let Some(found) = Self::load(state)?.filter(|found| found.is_enough(today)) {
            found.show(state)?;
            return Ok(found);
        }
        let lock = state.join("ca.lock");
        let held = disk::create_private_dir(state).and_then(|()| System.lock(&lock, PATIENCE));
        let Some(_held) = held.map_err(|error| unusable(&lock, &error))? else {
            return Err(unusable(&lock, &std::io::Error::other("another process holds it")));
        };
        // Somebody may have been first.
        let mut all = Self::load(state)?.map_or_else(Vec::new, |found| found.0);
        all.retain(|one| today < one.until);
        let mut found = Self(all);
        if !found.is_enough(today) {
            let made = Kept::make(now);
            found.0.push(made.map_err(|error| Failed::new(Exit::Failed, error.to_string()))?);
        }
        found.write(state)?;
        found.show(state)?;
        Ok(found)
    }

    /// The one that makes certificates on that day.
    pub fn signer(&self, today: Date) -> Option<&Kept> {
        let lasts = |one: &&Kept| is_before(today, USED_DAYS, one.until);
        self.0.iter().find(lasts).or(self.0.last())
    }

    /// The last one holds for long, and none is over.
    fn is_enough(&self, today: Date) -> bool {
        let is_over = |one: &Kept| one.until <= today;
        !self.0.iter().any(is_over)
            && self.0.last().is_some_and(|last| is_before(today, SHOWN_DAYS, last.until))
    }

    fn write(&self, state: &Path) -> Result<(), Failed> {
        let path = key_path(state);
        let stored: Vec<Stored> = self.0.iter().map(Stored::of).collect();
        let bytes = serde_json::to_vec(&stored).map(Zeroizing::new);
        let bytes = bytes.map_err(|error| unusable(&path, &std::io::Error::other(error)))?;
        disk::replace_unlocked(&path, &bytes).map_err(|error| unusable(&path, &error))
    }

    /// Writes the certificates where programs read them.
    fn show(&self, state: &Path) -> Result<(), Failed> {
        let own: String = self.0.iter().map(Kept::pem).collect();
        let path = pem_path(state);
        disk::replace_unlocked(&path, own.as_bytes()).map_err(|error| unusable(&path, &error))?;
        let path = bundle_path(state);
        let roots: String = roots::load().iter().map(|root| pem(root)).collect();
        let bundle = roots + &own;
        disk::replace_unlocked(&path, bundle.as_bytes()).map_err(|error| unusable(&path, &error))
    }
}

fn is_before(today: Date, days: i32, until: Date) -> bool {
    today.checked_add(days.days()).is_ok_and(|day| day < until)
}

impl Stored {
    fn of(kept: &Kept) -> Self {
        Self {
            name: kept.name.clone(),
            from: kept.from,
            until: kept.until,
            certificate: BASE64.encode(&kept.certificate),
            key: BASE64.encode(&kept.key),
        }
    }

    fn kept(&self) -> Option<Kept> {
        Some(Kept {
            name: self.name.clone(),
            from: self.from,
            until: self.until,
            certificate: BASE64.decode(self.certificate.as_bytes()).ok()?,
            key: Zeroizing::new(BASE64.decode(self.key.as_bytes()).ok()?),
        })
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Failed {
    let message = format!("cannot use the certificate authority {}: {error}", path.display());
    Failed::new(Exit::Failed, message).hint(
        "make it yours alone (chmod 600); without ca-key a new one is made, which programs trust when they are started again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}T12:00:00Z").parse().expect("a time")
    }

    #[test]
    fn an_authority_is_kept_and_its_successor_known_long_before_it_is_used() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = dir.path();
        let on = |day: &str| {
            let all = Authorities::load_or_make(state, at(day)).expect("writable");
            let signer = all.signer(day.parse().expect("a day")).expect("one").name.clone();
            (all.0.len(), signer)
        };
        let (count, first) = on("2026-01-01");
        assert_eq!((count, on("2026-09-30")), (1, (1, first.clone())));
        // From here on programs trust both.
        assert_eq!(on("2026-10-03"), (2, first.clone()));
        assert_eq!(on("2026-12-29"), (2, first.clone()));
        let shown = disk::read(&pem_path(state)).expect("readable").expect("there");
        assert_eq!(String::from_utf8_lossy(&shown).matches("BEGIN CERTIFICATE").count(), 2);
        let (count, second) = on("2026-12-30");
        assert!(count == 2 && second != first);
        assert_eq!(on("2027-01-01"), (1, second));
    }

    #[test]
    fn the_key_is_private_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = dir.path();
        Authorities::load_or_make(state, at("2026-01-01")).expect("writable");
        for path in [key_path(state), pem_path(state), bundle_path(state)] {
            assert_eq!(
                disk::access(&path).expect("readable").expect("there").mode,
                0o600,
                "{path:?}"
            );
        }
        disk::replace(&key_path(state), b"[]").expect("writable");
        let failed = Authorities::load_or_make(state, at("2026-01-01")).expect_err("damaged");
        assert!(failed.message.contains("ca-key: it is damaged"), "{failed:?}");
    }
}
