//! Wakes whoever carries a request over a connection, and nobody else.
//!
//! A connection and the request that it carries are polled by one task, and tell each other by waking it. That would poll the
//! task anew for what it looks at next anyway; and an idle connection would wake the task that used it last, for the request
//! of another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// How often what has rung while it was polled is polled again at once. What never rests lets others have their turn.
const ROUNDS_MAX: usize = 4;

/// One connection's.
pub(super) struct Bell {
    waker: Waker,
    ring: Arc<Ring>,
}

#[derive(Default)]
struct Ring(Mutex<State>);

#[derive(Default)]
struct State {
    /// Whose turn it is; none while the connection is idle.
    task: Option<Waker>,
    /// It is being polled, and looks itself whether it has rung.
    is_polled: bool,
    has_rung: bool,
}

impl Default for Bell {
    fn default() -> Self {
        let ring = Arc::<Ring>::default();
        Self { waker: Waker::from(Arc::clone(&ring)), ring }
    }
}

impl Bell {
    /// Polls a connection and what it carries with a context that rings for the task of `cx`.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        for _ in 0..ROUNDS_MAX {
            self.ring.begin(cx.waker());
            if let Poll::Ready(ready) = poll(&mut Context::from_waker(&self.waker)) {
                *self.ring.lock() = State::default();
                return Poll::Ready(ready);
            }
            if !self.ring.end() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Ring {
    fn begin(&self, task: &Waker) {
        let mut state = self.lock();
        if !state.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            state.task = Some(task.clone());
        }
        (state.is_polled, state.has_rung) = (true, false);
    }

    /// Whether it has rung meanwhile.
    fn end(&self) -> bool {
        let mut state = self.lock();
        state.is_polled = false;
        state.has_rung
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.is_polled {
            state.has_rung = true;
            return;
        }
        let task = state.task.clone();
        drop(state);
        // Not under the lock: it may ring another one.
        task.iter().for_each(Waker::wake_by_ref);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn it_rings_for_the_task_that_waits_and_for_no_other() {
        let (bell, one, other) = (Bell::default(), Arc::<Task>::default(), Arc::<Task>::default());
        let rung = || (one.0.load(Ordering::SeqCst), other.0.load(Ordering::SeqCst));
        let wakers = [&one, &other].map(|task| Waker::from(Arc::clone(task)));
        let [mut first, mut second] = wakers.each_ref().map(Context::from_waker);
        assert!(bell.poll::<()>(&mut first, |_| Poll::Pending).is_pending());
        bell.waker.wake_by_ref();
        assert_eq!(rung(), (1, 0), "it waits");
        assert!(bell.poll(&mut first, |_| Poll::Ready(())).is_ready());
        bell.waker.wake_by_ref();
        assert_eq!(rung(), (1, 0), "the connection is idle");
        assert!(bell.poll::<()>(&mut second, |_| Poll::Pending).is_pending());
        bell.waker.wake_by_ref();
        assert_eq!(rung(), (1, 1));
    }

    #[test]
    fn what_rings_while_it_is_polled_is_polled_again_and_wakes_nobody() {
        let (bell, task) = (Bell::default(), Arc::<Task>::default());
        let waker = Waker::from(Arc::clone(&task));
        let (mut cx, mut polls) = (Context::from_waker(&waker), 0);
        let polled = bell.poll(&mut cx, |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        });
        assert!(polled.is_ready() && task.0.load(Ordering::SeqCst) == 0);
        // It never rests.
        let polled = bell.poll::<()>(&mut cx, |cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(task.0.load(Ordering::SeqCst), 1, "others are let have their turn");
    }
}
