//! Virtual MFA devices, and the calls that must or may show a code of one.

use std::fmt;

use jiff::Timestamp;
use rotakey_core::credential::SecretAccessKey;

use super::message::{ApiError, Request};
use super::state::Simulator;
use crate::totp::{self, InvalidSeed};

/// A user's device. AWS takes each code once.
#[derive(Clone)]
pub(super) struct Device {
    serial: String,
    seed: SecretAccessKey,
    /// The last step whose code was taken: neither it nor an earlier one is taken again.
    taken: Option<u64>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.serial, self.taken)
    }
}

impl Device {
    pub(super) fn new(serial: String, seed: SecretAccessKey) -> Result<Self, InvalidSeed> {
        totp::code(seed.expose(), Timestamp::UNIX_EPOCH)?;
        Ok(Self { serial, seed, taken: None })
    }

    /// Takes a code, or refuses it.
    fn take(&mut self, code: &str, at: Timestamp) -> bool {
        match totp::step(self.seed.expose(), code, at) {
            Ok(Some(step)) if self.taken.is_none_or(|taken| step > taken) => {
                self.taken = Some(step);
                true
            }
            _ => false,
        }
    }
}

impl Simulator {
    /// Whether a request shows MFA: it names a device of `user`'s and has a code of it. Naming none is no error.
    pub(super) fn shows_mfa(
        &mut self,
        now: Timestamp,
        request: &Request,
        user: &str,
    ) -> Result<bool, ApiError> {
        let failed = |why: &str| ApiError::denied(format!("MultiFactorAuthentication failed{why}"));
        let (serial, code) = match (request.param("SerialNumber"), request.param("TokenCode")) {
            (None, None) => return Ok(false),
            (Some(serial), Some(code)) => (serial, code),
            _ => {
                return Err(failed(
                    ", must provide both MFA serial number and one time pass code.",
                ));
            }
        };
        let at = self.server_time(now);
        let device = self.user_mut(user)?.mfa.as_mut().filter(|device| device.serial == serial);
        let Some(device) = device else {
            return Err(failed(
                ", unable to validate MFA code.  Please verify your MFA serial number is valid and \
                 associated with this user.",
            ));
        };
        if device.take(code, at) {
            Ok(true)
        } else {
            Err(failed(" with invalid MFA one time pass code. "))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_taken_once_and_no_earlier_one_after_it() {
        let seed = || SecretAccessKey::new("GEZDGNBVGY3TQOJQ".to_owned());
        let at = |second| Timestamp::from_second(second).unwrap();
        let code = |second| totp::code(seed().expose(), at(second)).unwrap();
        let mut device = Device::new("arn".to_owned(), seed()).unwrap();
        assert!(device.take(&code(3000), at(3000)));
        assert!(!device.take(&code(3000), at(3000)));
        assert!(!device.take(&code(2970), at(3001)), "an earlier one");
        assert!(device.take(&code(3030), at(3001)), "the next one, by a clock that is ahead");
        assert!(!format!("{device:?}").contains("GEZD"));
        assert!(Device::new("arn".to_owned(), SecretAccessKey::new("1".to_owned())).is_err());
    }
}
