//! Telling servers to finish what they have begun, and to begin nothing more.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Tells. Dropping it tells too, and leaves no time.
#[derive(Debug)]
pub struct Drainer(watch::Sender<Option<Instant>>);

/// Is told. Clones are told together.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Option<Instant>>);

impl Drain {
    /// Both ends.
    pub fn new() -> (Drainer, Self) {
        let (sender, receiver) = watch::channel(None);
        (Drainer(sender), Self(receiver))
    }

    /// Waits until it is told, and says when the time is over that was given.
    pub(crate) async fn told(&mut self) -> Instant {
        match self.0.wait_for(Option::is_some).await {
            Ok(until) => until.unwrap_or_else(Instant::now),
            Err(_) => Instant::now(),
        }
    }
}

impl Drainer {
    /// From now on nothing is accepted; answers under way have this much time. The second call changes nothing.
    pub fn drain(&self, deadline: Duration) {
        self.0.send_if_modified(|until| {
            let is_first = until.is_none();
            until.get_or_insert_with(|| Instant::now() + deadline);
            is_first
        });
    }
}
