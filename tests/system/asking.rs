//! What the agent asks AWS itself, and who else puts a tag on the user.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use jiff::Timestamp;
use rotakey_agent::clock::Clock;
use rotakey_agent::daemon::reach;
use rotakey_agent::daemon::schedule::Health;
use rotakey_agent::driver::Came;
use rotakey_agent::iam::KeyService;
use rotakey_agent::simulator::InProcess;
use rotakey_core::credential::Credentials;
use rotakey_core::time::Now;

use super::engine::PollOnce;
use super::{USER, World};

struct Still(Now);

impl Clock for Still {
    fn now(&self) -> Now {
        self.0.clone()
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

impl World {
    /// Whether AWS is there and the clocks agree, as the agent sees it.
    pub fn reach(&mut self, which: usize) -> Result<(), Came> {
        let clock = Still(self.now.clone());
        self.with_served(which, |service, served| {
            pin!(reach::reach(service, &clock, served, USER)).poll_once()
        })
        .unwrap_or(Ok(()))
    }

    /// Whether AWS takes what is served, as the agent sees it.
    pub fn health(&mut self, which: usize) -> Health {
        let vantages = self.policy.vantages.clone();
        self.with_served(which, |service, served| {
            pin!(reach::health(service, &vantages, served, USER)).poll_once()
        })
        .unwrap_or(Health::Unknown)
    }

    /// Another installation's tag comes onto the user, or goes.
    pub fn foreign_tag(&mut self, which: usize, is_there: bool) {
        self.with_served(which, |service, served| {
            let tag = "rotakey:elsewhere";
            match is_there {
                true => pin!(service.tag_user(served, USER, tag, "x")).poll_once(),
                false => pin!(service.untag_user(served, USER, tag)).poll_once(),
            }
        });
    }

    /// Asks with the key that is served, whatever state the machine is in.
    fn with_served<T>(
        &mut self,
        which: usize,
        ask: impl FnOnce(&InProcess, &Credentials) -> Poll<T>,
    ) -> Option<T> {
        let id = self.ledger(which).access_key_id;
        let secret = self.installs[which].machine.secrets.get(&id)?.clone();
        let (wall, server) = (self.now.wall, self.true_time());
        let simulator = Arc::new(Mutex::new(std::mem::take(&mut self.iam)));
        let service =
            InProcess::new(Arc::clone(&simulator), move || server).signing_by(move || wall);
        let answer = ask(&service, &Credentials::long_term(id, secret));
        drop(service);
        self.iam = std::mem::take(&mut *simulator.lock().expect("one thread"));
        match answer {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => unreachable!("nothing here waits"),
        }
    }
}
