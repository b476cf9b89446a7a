//! What the sessions of a key's programs are sealed with. Shared by all that is made of its profile, whenever the configuration
//! is read again.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rotakey_core::credential::AccessKeyId;
use rotakey_endpoint::proxy::seal::{Seal, SealName};

/// A key's seal, by its id.
pub type ById = Vec<(AccessKeyId, Arc<Seal>)>;

/// Those of the keys whose secrets are held: the served one, and the other one of a rotation until that is deleted.
#[derive(Debug, Default)]
pub struct Seals(ArcSwapOption<ById>);

impl Seals {
    /// That of a key.
    pub fn of(&self, key: &AccessKeyId) -> Option<Arc<Seal>> {
        self.find(|(id, _)| id == key)
    }

    /// The one of that name.
    pub fn named(&self, name: &SealName) -> Option<Arc<Seal>> {
        self.find(|(_, seal)| seal.name() == name)
    }

    /// Whether it is known which there are.
    pub fn are_known(&self) -> bool {
        self.0.load().is_some()
    }

    /// Takes up those of `ids`; `secret_of` makes what is not there yet. A key whose secret cannot be read has none for now.
    pub fn take_up(
        &self,
        ids: &[&AccessKeyId],
        mut secret_of: impl FnMut(&AccessKeyId) -> Option<Seal>,
    ) {
        let known = self.0.load_full();
        let is_same = |known: &Arc<ById>| known.iter().map(|(id, _)| id).eq(ids.iter().copied());
        if known.as_ref().is_some_and(is_same) {
            return;
        }
        let mut next = ById::new();
        for id in ids {
            let seal = self.of(id).or_else(|| secret_of(id).map(Arc::new));
            next.extend(seal.map(|seal| ((*id).clone(), seal)));
        }
        self.0.store(Some(Arc::new(next)));
    }

    fn find(&self, is_it: impl Fn(&(AccessKeyId, Arc<Seal>)) -> bool) -> Option<Arc<Seal>> {
        self.0.load().as_ref()?.iter().find(|one| is_it(one)).map(|(_, seal)| Arc::clone(seal))
    }
}

#[cfg(test)]
mod tests {
    use rotakey_core::credential::SecretAccessKey;

    use super::*;

    #[test]
    fn a_seal_is_made_once_and_ends_with_its_key() {
        let seals = Seals::default();
        assert!(!seals.are_known());
        let (one, two): (AccessKeyId, AccessKeyId) =
            ("AKIAONE".parse().expect("an id"), "AKIATWO".parse().expect("an id"));
        let mut read = Vec::new();
        let mut take_up = |ids: &[&AccessKeyId]| {
            seals.take_up(ids, |id| {
                read.push(id.to_string());
                Some(Seal::of(&SecretAccessKey::new(format!("secret of {id}"))))
            });
        };
        take_up(&[&one]);
        take_up(&[&one]);
        let name = *seals.of(&one).expect("there").name();
        take_up(&[&two, &one]);
        assert!(seals.named(&name).is_some() && seals.of(&two).is_some());
        take_up(&[&two]);
        assert!(seals.named(&name).is_none() && seals.of(&one).is_none());
        take_up(&[]);
        assert!(seals.are_known() && seals.of(&two).is_none());
        assert_eq!(read, ["AKIAONE", "AKIATWO"]);
    }
}
