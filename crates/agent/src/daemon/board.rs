//! What the schedulers are doing, where the control socket finds it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::schedule::View;

/// One view for each key, by the profile that holds it.
#[derive(Debug, Default)]
pub struct Board(Mutex<HashMap<String, View>>);

impl Board {
    /// A scheduler has decided.
    pub fn show(&self, holder: &str, view: &View) {
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.insert(holder.to_owned(), view.clone());
    }

    /// A key is gone.
    pub fn forget(&self, holder: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(holder);
    }

    /// As `status` reads it; nothing is due or waited for before the first look.
    pub fn of(&self, holder: &str) -> Value {
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.get(holder).cloned().unwrap_or_default().to_json()
    }
}
