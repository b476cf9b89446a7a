//! What is legal when, tried record by record.

mod leaked;

use super::*;
use crate::journal::{Act, RotationId};

fn id(text: &str) -> AccessKeyId {
    text.parse().expect("an id")
}

fn old() -> AccessKeyId {
    id("AKIAOLD")
}

fn new() -> AccessKeyId {
    id("AKIANEW")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

fn name() -> RotationId {
    RotationId("0123456789abcdef".to_owned())
}

fn entry(record: Record) -> Entry {
    let rotation = (!matches!(record, Record::Enrolled { .. })).then(name);
    Entry { time: at(0), rotation, record }
}

fn why() -> String {
    "why".to_owned()
}

fn enrolled() -> Record {
    Record::Enrolled {
        access_key_id: old(),
        account_id: "1".to_owned(),
        arn: "arn:aws:iam::1:user/app".to_owned(),
        user: "app".to_owned(),
        created: None,
        origin: Origin::HandedOver,
    }
}

fn create() -> Act {
    Act::Create { known: vec![old()], clock_offset_ms: 0 }
}

fn created() -> Record {
    Record::Created { access_key_id: new(), created: at(0), adopted: false }
}

fn publish() -> Act {
    Act::Publish { access_key_id: new(), generation: Generation(2) }
}

fn intended(act: Act) -> Record {
    Record::Intended { act }
}

fn done(act: Act) -> Record {
    Record::Done { act }
}

fn deactivate(access_key_id: AccessKeyId) -> Act {
    Act::Deactivate { access_key_id }
}

fn delete(access_key_id: AccessKeyId) -> Act {
    Act::Delete { access_key_id }
}

fn forget(access_key_id: AccessKeyId) -> Act {
    Act::Forget { access_key_id }
}

fn orphan() -> Record {
    Record::OrphanFound { access_key_id: new(), created: at(0) }
}

/// A whole rotation.
fn rotation() -> Vec<Record> {
    vec![
        enrolled(),
        Record::Begun { reason: Reason::Forced },
        intended(create()),
        created(),
        Record::Verified { access_key_id: new() },
        intended(publish()),
        done(publish()),
        Record::Drained { access_key_id: old() },
        intended(deactivate(old())),
        done(deactivate(old())),
        intended(delete(old())),
        done(delete(old())),
        intended(forget(old())),
        done(forget(old())),
        Record::Finished,
    ]
}

/// The status after so many records of a rotation.
fn after(records: usize) -> Status {
    replay(&rotation()[..records])
}

fn replay(records: &[Record]) -> Status {
    let entries: Vec<_> = records.iter().cloned().map(entry).collect();
    Status::replay(&entries).expect("legal records")
}

fn position(record: &Record) -> usize {
    rotation().iter().position(|one| one == record).expect("it is there")
}

#[track_caller]
fn refuses(status: &Status, record: Record) {
    let mut next = status.clone();
    let what = format!("{record:?}");
    assert!(next.apply(&entry(record)).is_err(), "{what} after {status:?}");
    assert_eq!(next, *status, "a refused record changes nothing");
}

#[track_caller]
fn takes(status: &Status, record: Record) -> Status {
    let mut next = status.clone();
    next.apply(&entry(record)).expect("a legal record");
    next
}

#[test]
fn a_whole_rotation_is_legal_and_leaves_the_new_key() {
    let status = after(rotation().len());
    assert_eq!(status.rotation, None);
    assert_eq!(status.generation, Generation(2));
    assert_eq!(status.current.map(|key| key.id), Some(new()));
}

/// Each record is legal in its own place of a plain rotation, and which others are is listed here.
#[test]
fn no_record_of_a_rotation_is_legal_out_of_its_turn() {
    let records = rotation();
    for place in 0..records.len() {
        let status = after(place);
        for (n, record) in records.iter().enumerate().filter(|(n, _)| *n != place) {
            // An intent may be written again while its outcome is open, or once it came to nothing;
            // a creation may not. A publish by the next generation only.
            let again = n + 1 == place
                && matches!(record, Record::Intended { act } if !matches!(act, Act::Create { .. }));
            // Forgetting twice harms nobody, and so does seeing a key deleted again.
            let harmless = (n == position(&intended(forget(old())))
                && place > n
                && place <= position(&Record::Finished))
                || (n == position(&intended(delete(old()))) && place > n);
            let next = Status::clone(&status).apply(&entry(record.clone()));
            if !again && !harmless {
                // After the end, a new rotation may begin.
                assert!(next.is_err(), "{record:?} at {place}");
            }
        }
    }
    refuses(&after(records.len()), enrolled());
    takes(&after(records.len()), Record::Begun { reason: Reason::Scheduled });
}

#[test]
fn nothing_is_deleted_before_it_was_deactivated() {
    for place in 2..=position(&done(deactivate(old()))) {
        refuses(&after(place), intended(delete(old())));
        refuses(&after(place), intended(delete(new())));
    }
    let orphaned = replay(&[&rotation()[..3], &[orphan()]].concat());
    refuses(&orphaned, intended(delete(new())));
    refuses(&orphaned, intended(delete(old())));
    let fenced = takes(&orphaned, intended(deactivate(new())));
    refuses(&fenced, intended(delete(new())));
    let fenced = takes(&fenced, done(deactivate(new())));
    takes(&fenced, intended(delete(new())));
    refuses(&fenced, intended(delete(old())));
}

#[test]
fn the_published_key_is_never_deactivated_deleted_or_forgotten() {
    for place in 2..rotation().len() {
        let published = place > position(&done(publish()));
        let key = if published { new() } else { old() };
        for act in [deactivate(key.clone()), delete(key.clone()), forget(key.clone())] {
            refuses(&after(place), intended(act));
        }
        if !published {
            refuses(&after(place), Record::Vanished { access_key_id: key });
        }
    }
}

#[test]
fn nothing_is_published_before_it_was_verified() {
    for place in 2..position(&intended(publish())) {
        refuses(&after(place), intended(publish()));
        refuses(&after(place), done(publish()));
    }
    let verified = after(position(&intended(publish())));
    let other = |key, generation| {
        intended(Act::Publish { access_key_id: key, generation: Generation(generation) })
    };
    refuses(&verified, other(old(), 2));
    refuses(&verified, other(new(), 1));
    refuses(&verified, other(new(), 3));
    takes(&verified, other(new(), 2));
}

#[test]
fn giving_up_leaves_no_key_behind() {
    let given_up = Record::Abandoned { why: why() };
    for place in 3..rotation().len() {
        refuses(&after(place), given_up.clone());
    }
    takes(&after(2), given_up.clone());
    // A creation whose outcome is open, and an orphan.
    let lost = replay(&[&rotation()[..3], &[Record::CreateUnknown { why: why() }]].concat());
    refuses(&lost, given_up.clone());
    refuses(&takes(&lost, orphan()), given_up.clone());
    let status = takes(&takes(&lost, Record::NotCreated { why: why() }), given_up.clone());
    assert_eq!(status.current.map(|key| key.id), Some(old()));
    // A key that was made goes first, then its secret.
    let mut status = takes(&after(4), Record::AbortBegun { why: why() });
    for act in [delete(new()), forget(new())] {
        refuses(&status, given_up.clone());
        status = takes(&status, intended(act.clone()));
        refuses(&status, given_up.clone());
        status = takes(&status, done(act));
    }
    refuses(&status, Record::Finished);
    takes(&status, given_up);
}

#[test]
fn a_key_that_was_there_before_is_not_taken_for_the_new_one() {
    let intent = after(3);
    let mut there = created();
    if let Record::Created { access_key_id, .. } = &mut there {
        *access_key_id = old();
    }
    refuses(&intent, there);
    refuses(&intent, Record::OrphanFound { access_key_id: old(), created: at(0) });
    refuses(&after(2), created());
    refuses(&after(2), orphan());
}

#[test]
fn a_second_act_waits_until_the_first_is_known() {
    let intent = after(position(&done(deactivate(old()))));
    refuses(&intent, intended(delete(old())));
    refuses(&intent, done(delete(old())));
    takes(&intent, intended(deactivate(old())));
    refuses(&after(3), intended(create()));
}

#[test]
fn an_undo_is_legal_from_publish_until_the_deletion_is_intended() {
    let undo = Record::UndoBegun { why: why(), forced: false };
    let (from, to) = (position(&done(publish())), position(&intended(delete(old()))));
    for place in 2..rotation().len() {
        if (from..=to).contains(&place) {
            let open = takes(&after(place), undo.clone()).rotation.expect("open");
            assert_eq!(open.incoming.map(|key| key.id), Some(old()));
            assert_eq!(open.outgoing.id, new());
            assert_eq!(
                open.reactivate,
                place > position(&Record::Drained { access_key_id: old() })
            );
        } else {
            refuses(&after(place), undo.clone());
        }
    }
    let undone = takes(&after(from + 1), undo.clone());
    refuses(&undone, undo);
    refuses(&undone, Record::AbortBegun { why: why() });
    refuses(&undone, Record::Abandoned { why: why() });
    // A key that may be Inactive is not verified before it was activated.
    let soaking = takes(&after(to), Record::UndoBegun { why: why(), forced: false });
    refuses(&soaking, Record::Verified { access_key_id: old() });
    let activate = Act::Activate { access_key_id: old() };
    let active = takes(&takes(&soaking, intended(activate.clone())), done(activate));
    takes(&active, Record::Verified { access_key_id: old() });
}

#[test]
fn an_abort_is_legal_only_until_the_publish_is_intended() {
    for place in 2..rotation().len() {
        let abort = Record::AbortBegun { why: why() };
        if place <= position(&intended(publish())) {
            takes(&after(place), abort);
        } else {
            refuses(&after(place), abort);
        }
    }
}

#[test]
fn a_stuck_rotation_takes_only_a_persons_decision() {
    let stuck = takes(&after(6), Record::Stuck { why: why() });
    for record in [
        done(publish()),
        intended(publish()),
        Record::Stuck { why: why() },
        Record::Abandoned { why: why() },
        Record::Finished,
    ] {
        refuses(&stuck, record);
    }
    takes(&takes(&stuck, Record::Resumed), done(publish()));
    takes(&stuck, Record::UndoBegun { why: why(), forced: false });
    refuses(&after(6), Record::Resumed);
}

#[test]
fn a_record_of_another_rotation_is_refused() {
    let mut other = entry(intended(create()));
    other.rotation = Some(RotationId("other".to_owned()));
    assert!(after(2).apply(&other).is_err());
    other.rotation = None;
    assert!(after(2).apply(&other).is_err());
    refuses(&after(0), Record::Begun { reason: Reason::Forced });
    refuses(&after(1), intended(create()));
}

#[test]
fn only_a_key_that_may_be_inactive_is_activated() {
    let activate = |key| intended(Act::Activate { access_key_id: key });
    for place in 2..rotation().len() {
        refuses(&after(place), activate(old()));
        refuses(&after(place), activate(new()));
    }
    let deactivated = after(position(&intended(delete(old()))));
    let undone = takes(&deactivated, Record::UndoBegun { why: why(), forced: false });
    refuses(&undone, activate(new()));
    takes(&undone, activate(old()));
}

#[test]
fn only_what_the_rotation_itself_made_away_with_is_forgotten_or_seen_gone() {
    let stranger = || id("AKIASTRANGER");
    for place in 2..rotation().len() {
        refuses(&after(place), intended(forget(stranger())));
        refuses(&after(place), Record::Vanished { access_key_id: stranger() });
    }
    let deleted = after(position(&intended(forget(old()))));
    refuses(&deleted, intended(forget(new())));
    takes(&deleted, intended(forget(old())));
}

#[test]
fn a_new_key_that_is_gone_ends_the_rotation_and_leaves_the_reason_that_was_given() {
    let aborting = |status: &Status| status.rotation.as_ref().and_then(|o| o.aborting.clone());
    let vanished = Record::Vanished { access_key_id: new() };
    let gone = takes(&after(4), vanished.clone());
    assert_eq!(aborting(&gone).as_deref(), Some("the new key was deleted by somebody else"));
    let given_up = takes(&after(4), Record::AbortBegun { why: why() });
    assert_eq!(aborting(&takes(&given_up, vanished)), Some(why()));
}

#[test]
fn a_step_is_told_by_the_word_that_stands_in_the_state() {
    let steps = [
        Step::Create,
        Step::Verify,
        Step::Publish,
        Step::Drain,
        Step::Deactivate,
        Step::Soak,
        Step::Delete,
    ];
    for step in steps {
        let word = serde_json::to_string(&step).expect("a word");
        assert_eq!(word, format!("\"{step}\""));
    }
    assert_eq!(format!("{:>7}|", Step::Soak), "   soak|");
}

#[test]
fn a_key_that_was_shown_has_unknown_holders_from_then_on() {
    let exported = |key: AccessKeyId| Entry {
        time: at(0),
        rotation: None,
        record: Record::Exported { access_key_id: key },
    };
    refuses(&Status::default(), Record::Exported { access_key_id: old() });
    for records in 1..rotation().len() {
        let mut status = after(records);
        let served = status.current.clone().expect("a key").id;
        let other = if served == old() { new() } else { old() };
        assert!(status.apply(&exported(other)).is_err(), "{records}: only what is served");
        status.apply(&exported(served.clone())).expect("at any time");
        // What goes on is told of it, and nothing else has changed.
        for record in &rotation()[records..] {
            status.apply(&entry(record.clone())).expect("legal as before");
            if let Some(open) = &status.rotation {
                for key in [Some(&open.outgoing), open.incoming.as_ref()].into_iter().flatten() {
                    assert_eq!(key.exported, key.id == served, "{records}: {key:?}");
                }
            }
        }
        assert_eq!(status.current.map(|key| key.exported), Some(served == new()), "{records}");
    }
    let mut stuck = after(3);
    stuck.apply(&entry(Record::Stuck { why: why() })).expect("legal");
    stuck.apply(&exported(old())).expect("also while a person is asked for");
    assert!(stuck.rotation.is_some_and(|open| open.stuck.is_some()));
}

#[test]
fn who_may_hold_a_key_is_known_only_of_what_we_made_and_never_showed() {
    let key = |origin, exported| Key { id: old(), created: None, origin, exported };
    assert!(!key(Origin::Created, false).has_unknown_holders());
    assert!(key(Origin::Created, true).has_unknown_holders());
    assert!(key(Origin::HandedOver, false).has_unknown_holders());
}
