//! The six digits of an MFA device: RFC 6238 with HMAC-SHA-1 and steps of 30 seconds, as AWS's virtual devices are.

use jiff::Timestamp;
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

/// Why a text is not the seed of an MFA device. It does not say the text, which may be a seed but for a letter.
#[derive(Debug, thiserror::Error)]
#[error("not the seed of an MFA device: expected Base32, the letters A to Z and the digits 2 to 7")]
pub struct InvalidSeed;

/// The code that a device with this seed shows at an instant.
pub fn code(seed_base32: &str, at: Timestamp) -> Result<String, InvalidSeed> {
    Ok(device(seed_base32)?.generate(seconds(at)).to_string())
}

/// The step, counted from 1970, whose code this is: the present one, the one before or the one after. Whoever
/// checks codes has to remember it, as no step's code may be taken twice (RFC 6238, section 5.2).
pub fn step(seed_base32: &str, code: &str, at: Timestamp) -> Result<Option<u64>, InvalidSeed> {
    Ok(device(seed_base32)?.check(code, seconds(at)))
}

/// People paste seeds as they are shown: in groups, in small letters, with padding.
fn device(seed_base32: &str) -> Result<Totp, InvalidSeed> {
    let plain = |c: &char| !c.is_ascii_whitespace() && !matches!(c, '-' | '=');
    let seed = seed_base32.chars().filter(plain).map(|c| c.to_ascii_uppercase());
    let seed = Zeroizing::new(seed.collect::<String>());
    let secret = Secret::try_from_base32(&*seed).map_err(|_| InvalidSeed)?;
    if secret.as_bytes().is_empty() {
        return Err(InvalidSeed);
    }
    // Not `build`: it refuses the seeds of 80 bits that many services hand out.
    Ok(Builder::new().with_secret(secret).build_noncompliant())
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    /// "12345678901234567890", the seed of RFC 6238's appendix B.
    const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_codes_of_the_rfc_come_out() {
        // The appendix shows eight digits; a device with six shows the last six.
        for (second, eight) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code(SEED, at(second)).unwrap(), eight[2..], "{second}");
        }
    }

    #[test]
    fn a_code_is_known_a_step_early_and_a_step_late() {
        let code = code(SEED, at(3000)).unwrap();
        for (second, expected) in
            [(2969, None), (2970, Some(100)), (3029, Some(100)), (3059, Some(100)), (3060, None)]
        {
            assert_eq!(step(SEED, &code, at(second)).unwrap(), expected, "{second}");
        }
        for wrong in ["", "12345", "+12345", "abcdef", "1234567"] {
            assert_eq!(step(SEED, wrong, at(3000)).unwrap(), None, "{wrong}");
        }
    }

    #[test]
    fn seeds_are_taken_as_they_are_shown() {
        let plain = code(SEED, at(59)).unwrap();
        let shown = "gezd gnbv-gy3t qojq GEZDGNBVGY3TQOJQ==\n";
        assert_eq!(code(shown, at(59)).unwrap(), plain);
        for bad in ["", " ", "not base32!", "0189"] {
            let error = code(bad, at(59)).unwrap_err();
            assert!(bad.trim().is_empty() || !error.to_string().contains(bad), "{error}");
        }
    }
}
