//! Connections that wait for their next request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::IDLE_TIMEOUT;

/// How often those are looked for that have waited for too long. None of them is used meanwhile.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Of one server.
const IDLE_MAX: usize = 64;

/// They wait here, by the authority that they lead to.
pub(super) struct Idle<L>(Mutex<Waiting<L>>);

struct Waiting<L> {
    /// With the time when each came, the last one last.
    lines: HashMap<String, Vec<(Instant, L)>>,
    /// A task looks for those that have waited for too long.
    is_swept: bool,
}

impl<L> Default for Idle<L> {
    fn default() -> Self {
        Self(Mutex::new(Waiting { lines: HashMap::new(), is_swept: false }))
    }
}

impl<L> fmt::Debug for Idle<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "idle connections to {} servers", self.lock().lines.len())
    }
}

impl<L: Send + 'static> Idle<L> {
    /// The one that has waited for the shortest time.
    pub(super) fn take(&self, to: &str, now: Instant) -> Option<L> {
        let (came, line) = self.lock().lines.get_mut(to)?.pop()?;
        is_young(came, now).then_some(line)
    }

    /// Lets one wait. Needs a runtime.
    pub(super) fn keep(self: &Arc<Self>, to: &str, line: L, now: Instant) {
        let mut waiting = self.lock();
        match waiting.lines.get_mut(to) {
            Some(lines) => {
                if lines.len() >= IDLE_MAX {
                    // One that is over, and was not looked for yet, takes nobody's place.
                    lines.retain(|(came, _)| is_young(*came, now));
                }
                if lines.len() >= IDLE_MAX {
                    return;
                }
                lines.push((now, line));
            }
            None => drop(waiting.lines.insert(to.to_owned(), vec![(now, line)])),
        }
        if !waiting.is_swept {
            waiting.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Whether any are left.
    fn drop_old(&self, now: Instant) -> bool {
        let mut waiting = self.lock();
        waiting.lines.retain(|_, lines| {
            lines.retain(|(came, _)| is_young(*came, now));
            !lines.is_empty()
        });
        waiting.is_swept = !waiting.lines.is_empty();
        waiting.is_swept
    }
}

impl<L> Idle<L> {
    fn lock(&self) -> MutexGuard<'_, Waiting<L>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_young(came: Instant, now: Instant) -> bool {
    now.saturating_duration_since(came) < IDLE_TIMEOUT
}

/// Closes what has waited for too long, until none is left.
async fn sweep<L: Send + 'static>(idle: Weak<Idle<L>>) {
    loop {
        sleep(SWEEP_INTERVAL).await;
        if !idle.upgrade().is_some_and(|idle| idle.drop_old(Instant::now())) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn the_last_that_came_goes_first_and_none_that_is_old() {
        let (idle, now) = (Arc::new(Idle::default()), Instant::now());
        idle.keep("a", 1, now);
        idle.keep("a", 2, now + seconds(10));
        idle.keep("b", 3, now + seconds(10));
        let later = now + IDLE_TIMEOUT;
        assert_eq!((idle.take("a", later), idle.take("c", later)), (Some(2), None));
        assert_eq!(idle.take("a", later), None);
        assert_eq!(idle.take("b", later), Some(3));
    }

    #[tokio::test]
    async fn what_is_old_is_closed_though_nobody_asks() {
        let (idle, now) = (Arc::new(Idle::default()), Instant::now());
        let line = Arc::new(());
        let held = || Arc::strong_count(&line) - 1;
        for number in 0..IDLE_MAX + 5 {
            let came = if number < 4 { now } else { now + seconds(10) };
            idle.keep("a", Arc::clone(&line), came);
        }
        assert_eq!(held(), IDLE_MAX, "there is a limit");
        assert!(idle.drop_old(now + IDLE_TIMEOUT) && idle.lock().is_swept);
        assert_eq!(held(), IDLE_MAX - 4);
        assert!(!idle.drop_old(now + seconds(10) + IDLE_TIMEOUT));
        assert!(held() == 0 && idle.lock().lines.is_empty() && !idle.lock().is_swept);
        // The next one is looked for anew.
        idle.keep("a", line, now);
        assert!(idle.lock().is_swept);
    }

    #[tokio::test]
    async fn what_is_old_takes_no_place_of_a_new_one() {
        let (idle, now) = (Arc::new(Idle::default()), Instant::now());
        (0..IDLE_MAX).for_each(|number| idle.keep("a", number, now));
        idle.keep("a", 1000, now + IDLE_TIMEOUT);
        assert_eq!(idle.take("a", now + IDLE_TIMEOUT), Some(1000));
    }
}
