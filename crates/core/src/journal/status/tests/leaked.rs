//! A key that leaked, was taken out of service, or comes back: which is meant, and when that may be said.

use super::*;

fn leaked(access_key_id: AccessKeyId) -> Record {
    Record::Compromised { access_key_id }
}

fn undo() -> Record {
    Record::UndoBegun { why: why(), forced: false }
}

fn open(status: &Status) -> &Open {
    status.rotation.as_ref().expect("a rotation is open")
}

/// From the first record after `Begun` up to the last one, with the old key gone from here on.
fn gone() -> usize {
    position(&done(delete(old()))) + 1
}

#[test]
fn the_key_on_its_way_out_may_be_said_to_have_leaked_until_it_is_gone() {
    for place in 2..rotation().len() {
        refuses(&after(place), leaked(new()));
        if place < gone() {
            let cut_off = takes(&after(place), leaked(old()));
            assert!(open(&cut_off).is_cut_off());
            refuses(&cut_off, leaked(old()));
        } else {
            refuses(&after(place), leaked(old()));
        }
    }
    // One that is being given up ends by itself, and the key that leaked is replaced by the next one.
    refuses(&takes(&after(4), Record::AbortBegun { why: why() }), leaked(old()));
}

#[test]
fn the_key_at_risk_is_the_one_on_its_way_out_as_long_as_it_works() {
    let at_risk = |status: &Status| status.at_risk().map(|key| key.id.clone());
    assert_eq!(at_risk(&Status::default()), None);
    assert_eq!(at_risk(&after(1)), Some(old()));
    let inactive = position(&done(deactivate(old()))) + 1;
    for place in 2..=rotation().len() {
        let expected = if place < inactive { old() } else { new() };
        assert_eq!(at_risk(&after(place)), Some(expected), "after {place}");
    }
    // Said once, it is still the one that is meant, until it is Inactive.
    for place in 2..inactive {
        assert_eq!(at_risk(&takes(&after(place), leaked(old()))), Some(old()), "after {place}");
    }
    // An undo changes which one goes; a rotation that is given up goes on serving the old one.
    let published = position(&done(publish())) + 1;
    assert_eq!(at_risk(&takes(&after(published), undo())), Some(new()));
    let given_up = takes(&after(4), Record::AbortBegun { why: why() });
    assert_eq!(at_risk(&given_up), Some(old()));
}

#[test]
fn the_served_key_is_withdrawn_once_and_only_while_nothing_is_under_way() {
    let withdrawn = |key| Record::Withdrawn { access_key_id: key };
    let disabled = |key| Record::Disabled { access_key_id: key };
    refuses(&after(0), withdrawn(old()));
    refuses(&after(1), withdrawn(new()));
    refuses(&after(1), disabled(old()));
    for place in 2..rotation().len() {
        for key in [old(), new()] {
            refuses(&after(place), withdrawn(key));
        }
    }
    let status = takes(&after(1), withdrawn(old()));
    assert_eq!(status.withdrawn, Some(Withdrawn { since: at(0), disabled: None }));
    refuses(&status, withdrawn(old()));
    refuses(&status, disabled(new()));
    refuses(&status, Record::Begun { reason: Reason::Compromised });
    let status = takes(&status, disabled(old()));
    assert_eq!(status.withdrawn, Some(Withdrawn { since: at(0), disabled: Some(at(0)) }));
    takes(&after(rotation().len()), withdrawn(new()));
}

#[test]
fn the_intent_to_deactivate_a_leaked_key_ends_its_drain() {
    let published = position(&done(publish())) + 1;
    let intent = intended(deactivate(old()));
    refuses(&after(published), intent.clone());
    let cut_off = takes(&after(published), leaked(old()));
    assert_eq!(open(&cut_off).step, Step::Drain);
    // From here on it may be Inactive, whatever the journal knows.
    let deactivating = takes(&cut_off, intent.clone());
    assert_eq!(open(&deactivating).step, Step::Deactivate);
    assert!(open(&takes(&deactivating, Record::UndoBegun { why: why(), forced: true })).reactivate);

    // Of a key that was drained, the step began when that was known.
    let drained = after(position(&intent));
    let mut again = drained.clone();
    let later = Entry { time: at(60), ..entry(intent) };
    again.apply(&later).expect("legal");
    assert_eq!((open(&again).step, open(&again).since), (Step::Deactivate, open(&drained).since));
}

#[test]
fn a_sign_brings_a_soaking_key_back_unless_a_person_has_to_decide() {
    let soaks = position(&done(deactivate(old()))) + 1;
    for place in 2..rotation().len() {
        assert_eq!(open(&after(place)).may_reactivate(), place == soaks, "after {place}");
    }
    let soaking = after(soaks);
    for decided in [Record::Stuck { why: why() }, leaked(old())] {
        assert!(!open(&takes(&soaking, decided.clone())).may_reactivate(), "{decided:?}");
    }
    // Turned round once, the new key soaks: nothing turns it round again.
    let activate = Act::Activate { access_key_id: old() };
    let back = Act::Publish { access_key_id: old(), generation: Generation(3) };
    let records = [
        undo(),
        intended(activate.clone()),
        done(activate),
        Record::Verified { access_key_id: old() },
        intended(back.clone()),
        done(back),
        Record::Drained { access_key_id: new() },
        intended(deactivate(new())),
        done(deactivate(new())),
    ];
    let undone = records.into_iter().fold(soaking, |status, record| takes(&status, record));
    assert_eq!(open(&undone).step, Step::Soak);
    assert!(!open(&undone).may_reactivate());
}

#[test]
fn an_undo_whose_key_is_gone_goes_back_to_the_newer_one_unless_that_leaked() {
    let vanished = Record::Vanished { access_key_id: old() };
    for place in [position(&done(publish())) + 1, position(&intended(delete(old())))] {
        let undone = takes(&after(place), undo());
        let round = takes(&undone, vanished.clone());
        assert_eq!(open(&round).incoming.as_ref().map(|key| key.id.clone()), Some(new()));
        assert_eq!((&open(&round).outgoing.id, open(&round).step), (&old(), Step::Verify));
        assert!(!open(&round).deleted, "the one that goes is seen to be gone by itself");

        let round = takes(&takes(&undone, leaked(new())), vanished.clone());
        assert_eq!((&open(&round).outgoing.id, open(&round).deleted), (&new(), true));
    }
}
