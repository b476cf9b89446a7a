//! What the sessions of a key's programs are sealed with. Shared by all that is made of its profile, whenever the configuration
//! is read again.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rotakey_core::credential::{AccessKeyId, Credentials};
use rotakey_core::journal::Open;
use rotakey_endpoint::proxy::seal::{Seal, SealName};

use super::ServedKey;
use crate::serve::NotHanded;
use crate::store::keystore::{Keystore, KeystoreError};
use crate::store::profile::StateError;

/// A key's seal, by its id.
pub type ById = Vec<(AccessKeyId, Arc<Seal>)>;

/// Those of the keys whose secrets are held: the served one, and the other one of a rotation until that is deleted.
#[derive(Debug, Default)]
pub struct Seals(ArcSwap<Known>);

#[derive(Clone, Debug, Default)]
struct Known {
    by_id: ById,
    /// There are no others.
    are_all: bool,
}

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
        self.0.load().are_all
    }

    /// Takes up one beside those that there are.
    pub fn add(&self, id: &AccessKeyId, seal: impl FnOnce() -> Seal) {
        if self.of(id).is_none() {
            let mut next = Known::clone(&self.0.load());
            next.by_id.push((id.clone(), Arc::new(seal())));
            self.0.store(Arc::new(next));
        }
    }

    /// There will be no others than those that there are.
    pub fn settle(&self) {
        if !self.are_known() {
            self.0.store(Arc::new(Known { are_all: true, ..Known::clone(&self.0.load()) }));
        }
    }

    /// Takes up those of `ids`, in the place of all others; `make` makes what is not there yet. A key that is not held has
    /// none.
    ///
    /// # Errors
    ///
    /// That of `make`. It is not known then which there are; the others are taken up.
    pub fn take_up<E>(
        &self,
        ids: &[&AccessKeyId],
        mut make: impl FnMut(&AccessKeyId) -> Result<Option<Seal>, E>,
    ) -> Result<(), E> {
        let known = self.0.load_full();
        let is_same = known.by_id.iter().map(|(id, _)| id).eq(ids.iter().copied());
        if known.are_all && is_same {
            return Ok(());
        }
        let (mut next, mut made) = (Known { by_id: ById::new(), are_all: true }, Ok(()));
        for id in ids {
            let seal = match self.of(id) {
                Some(seal) => Some(seal),
                None => make(id).map(|seal| seal.map(Arc::new)).unwrap_or_else(|error| {
                    (next.are_all, made) = (false, Err(error));
                    None
                }),
            };
            next.by_id.extend(seal.map(|seal| ((*id).clone(), seal)));
        }
        self.0.store(Arc::new(next));
        made
    }

    /// There are none.
    pub fn drop_all(&self) {
        self.0.store(Arc::new(Known { by_id: ById::new(), are_all: true }));
    }

    fn find(&self, is_it: impl Fn(&(AccessKeyId, Arc<Seal>)) -> bool) -> Option<Arc<Seal>> {
        self.0.load().by_id.iter().find(|one| is_it(one)).map(|(_, seal)| Arc::clone(seal))
    }
}

/// Takes up what sessions are sealed with: those that were made with a key that is Inactive by now go on, too. Fails if it
/// cannot be told yet which there are.
pub fn take_up(
    key: &ServedKey,
    served: &Credentials,
    keystore: &dyn Keystore,
) -> Result<(), NotHanded> {
    let served_id = &served.access_key_id;
    key.seals.add(served_id, || Seal::of(&served.secret_access_key));
    let open = key.state.read().map_err(NotHanded::from).map(|(_, status)| status.rotation);
    let taken_up = open.and_then(|open| {
        let beside = open.as_ref().and_then(|open| beside(open, served_id));
        let ids: Vec<&AccessKeyId> = [served_id].into_iter().chain(beside).collect();
        let make = |id: &AccessKeyId| keystore.get(id).map(|held| held.as_ref().map(Seal::of));
        key.seals.take_up(&ids, make).map_err(NotHanded::from)
    });
    taken_up.or_else(|error| give_up(key, &error).then_some(()).ok_or(error))
}

/// Gives up looking for more than there are, if what is in the way does not pass by itself; whether it does not. One key that
/// is gone would have the sessions of all profiles wait for it.
pub fn give_up(key: &ServedKey, error: &NotHanded) -> bool {
    let lasts = matches!(
        error,
        NotHanded::NotHeld(_)
            | NotHanded::State(StateError::Damaged { .. })
            | NotHanded::Keystore(KeystoreError::Damaged { .. })
    );
    if lasts {
        key.seals.settle();
    }
    lasts
}

/// The key of a rotation beside the served one, Active or not, unless it is in a stranger's hands.
fn beside<'a>(open: &'a Open, served: &AccessKeyId) -> Option<&'a AccessKeyId> {
    let outgoing = Some(&open.outgoing).filter(|_| !open.is_cut_off());
    let mut both = open.incoming.iter().chain(outgoing).map(|key| &key.id);
    both.find(|id| *id != served)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use rotakey_core::credential::SecretAccessKey;

    use super::*;
    use crate::store::profile::ProfileState;

    fn seal(id: &AccessKeyId) -> Seal {
        Seal::of(&SecretAccessKey::new(format!("secret of {id}")))
    }

    fn ids() -> (AccessKeyId, AccessKeyId) {
        ("AKIAONE".parse().expect("an id"), "AKIATWO".parse().expect("an id"))
    }

    #[test]
    fn a_seal_is_made_once_and_ends_with_its_key() {
        let seals = Seals::default();
        assert!(!seals.are_known());
        let (one, two) = ids();
        let mut read = Vec::new();
        let mut take_up = |ids: &[&AccessKeyId]| {
            seals.take_up::<()>(ids, |id| {
                read.push(id.to_string());
                Ok(Some(seal(id)))
            })
        };
        let mut take_up = |ids: &[&AccessKeyId]| take_up(ids).expect("no error");
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

    /// A keystore that is locked for a moment ends no session: that of the other key is not taken for one that is over.
    #[test]
    fn a_seal_that_cannot_be_read_yet_is_waited_for() {
        let (seals, (one, two)) = (Seals::default(), ids());
        seals.add(&one, || seal(&one));
        assert!(seals.of(&one).is_some() && !seals.are_known());
        let fails = |_: &AccessKeyId| Err("locked");
        assert_eq!(seals.take_up(&[&one, &two], fails), Err("locked"));
        assert!(seals.of(&one).is_some() && seals.of(&two).is_none() && !seals.are_known());
        seals.take_up::<()>(&[&one, &two], |id| Ok(Some(seal(id)))).expect("no error");
        assert!(seals.of(&two).is_some() && seals.are_known());
        // What is there already needs no keystore.
        assert_eq!(seals.take_up(&[&two, &one], fails), Ok(()));
        assert!(seals.of(&one).is_some() && seals.of(&two).is_some() && seals.are_known());
    }

    #[test]
    fn a_key_that_is_gone_keeps_nobody_waiting_and_drops_no_seal() {
        let ((one, two), state) = (ids(), ProfileState::new(Path::new("/nowhere"), "app"));
        let key = ServedKey::for_test(state, Duration::from_secs(60));
        key.seals.add(&one, || seal(&one));
        let locked = KeystoreError::Locked { store: "the keyring".to_owned() };
        assert!(!give_up(&key, &locked.into()) && !key.seals.are_known());
        assert!(give_up(&key, &NotHanded::NotHeld(two)) && key.seals.are_known());
        assert!(key.seals.of(&one).is_some());
    }
}
