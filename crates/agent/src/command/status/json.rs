//! A profile as data: the contract's form, and more.

use rotakey_core::journal::Key;
use rotakey_core::time::later;
use serde_json::{Map, Value, json};

use super::headline::Headline;
use super::view::{View, holder_json};
use crate::wording::rfc3339;

impl View {
    pub(super) fn json(&self) -> Value {
        let enrolment = self.status.enrolment.as_ref();
        let key = |key: &Key| {
            json!({
                "access_key_id": key.id.as_str(),
                "status": self.key_status(key).to_string(),
                "created": key.created.map(rfc3339),
                "age_seconds": self.age(key),
            })
        };
        let open = self.status.rotation.as_ref();
        let previous = open.and_then(|open| {
            let mut value = key(self.previous(open)?);
            let delete_after = open.deactivated.map(|at| later(at, self.settings.policy.soak));
            let value_map = value.as_object_mut()?;
            value_map.remove("age_seconds");
            value_map.insert("delete_after".into(), delete_after.map(rfc3339).into());
            Some(value)
        });
        let rotation = open.map(|open| {
            let wait = self.wait(open);
            json!({
                "id": open.id.0,
                "step": open.step.name(),
                "since": rfc3339(open.since),
                "waiting_for": self.waiting_for(open),
                "waiting_until": wait.until.map(rfc3339),
                "until_what": wait.when,
                "stuck": open.stuck,
            })
        });
        let horizons: Map<String, Value> = self
            .ledger
            .iter()
            .flat_map(|ledger| &ledger.horizons)
            .filter_map(|(id, h)| {
                let until = h.served_until.max(h.unrecorded_until)?;
                Some((id.to_string(), rfc3339(until).into()))
            })
            .collect();
        let holders: Vec<_> = self.holders.iter().map(holder_json).collect();
        let error = self.last_error();
        json!({
            "profile": self.name,
            "headline": Headline::of(self).name(),
            "account_id": enrolment.map(|e| &e.account_id),
            "user": enrolment.map(|e| &e.user),
            "arn": enrolment.map(|e| &e.arn),
            "current": self.status.current.as_ref().map(key),
            "previous": previous,
            "rotation": rotation,
            "next_rotation": self.next_rotation().map(rfc3339),
            "schedule": self.schedule(),
            "leases": {"horizon": horizons, "holders": holders},
            "sources": self.sources(),
            "warnings": self.warnings(),
            "last_error": error.as_ref().map(|(why, _)| why),
            "last_error_hint": error.as_ref().map(|(_, hint)| hint),
            "last_news": self.news.as_ref().map(crate::news::News::json),
        })
    }
}
