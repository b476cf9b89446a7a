//! Which servers say `100 Continue` to those who wait for it. Not all do; S3 does.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// No profile uses so many servers.
const SERVERS_MAX: usize = 4096;

/// The servers that have said it.
#[derive(Clone, Debug, Default)]
pub(super) struct Continuing(Arc<Mutex<HashSet<String>>>);

impl Continuing {
    /// It said so.
    pub(super) fn note(&self, host: &str) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() < SERVERS_MAX && !hosts.contains(host) {
            hosts.insert(host.to_owned());
        }
    }

    /// Whether it said so before.
    pub(super) fn says(&self, host: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(host)
    }
}
