//! Asking again when AWS is busy. For calls that only read: they do no harm twice.

use std::time::Duration;

use rotakey_core::iam::{Outcome, RefusalClass};

/// Attempts while AWS says that there are too many calls: half a minute, about.
const WHEN_BUSY: u32 = 9;

/// Attempts while there is no answer; each has a timeout of its own.
const WHEN_LOST: u32 = 3;

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Calls until there is an answer, with longer and longer waits. What then still fails, fails: it is never taken for an empty
/// list.
pub async fn patiently<T>(mut call: impl AsyncFnMut() -> Outcome<T>) -> Outcome<T> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let outcome = call().await;
        let attempts = match &outcome {
            Outcome::Refused(refusal) if refusal.class == RefusalClass::Throttled => WHEN_BUSY,
            Outcome::Unknown(_) => WHEN_LOST,
            _ => return outcome,
        };
        if attempt >= attempts {
            return outcome;
        }
        tokio::time::sleep(wait(attempt)).await;
    }
}

/// Between a half and all of a time that doubles: those who were refused at once do not come again at once.
fn wait(attempt: u32) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << attempt.min(10)).min(LONGEST_WAIT);
    let mut byte = [0u8; 1];
    // Without randomness, the whole of it.
    let share = if getrandom::fill(&mut byte).is_ok() { u32::from(byte[0]) } else { 255 };
    whole / 2 + whole * share / 510
}

#[cfg(test)]
mod tests {
    use rotakey_core::iam::{Doubt, Refusal};

    use super::*;

    fn refused(class: RefusalClass) -> Outcome<u8> {
        Outcome::Refused(Refusal { class, code: "X".to_owned(), message: String::new() })
    }

    fn attempts(answer: impl Fn(u32) -> Outcome<u8>) -> (u32, Outcome<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let mut count = 0;
        let outcome = runtime.expect("a runtime").block_on(patiently(async || {
            count += 1;
            answer(count)
        }));
        (count, outcome)
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let denied = || refused(RefusalClass::Permission);
        assert_eq!(attempts(|_| denied()), (1, denied()));
        assert_eq!(attempts(|_| Outcome::Done(7)), (1, Outcome::Done(7)));
        let busy_once = |n| if n == 1 { refused(RefusalClass::Throttled) } else { denied() };
        assert_eq!(attempts(busy_once), (2, denied()));
        let lost = || Outcome::Unknown(Doubt { sent: true, reason: "gone".to_owned() });
        assert_eq!(attempts(|_| lost()), (WHEN_LOST, lost()));
    }

    #[test]
    fn waits_double_up_to_a_limit() {
        for attempt in 1..40 {
            let whole = FIRST_WAIT.saturating_mul(1 << attempt.min(10)).min(LONGEST_WAIT);
            let wait = wait(attempt);
            assert!(wait >= whole / 2 && wait <= whole, "{attempt}: {wait:?}");
        }
    }
}
