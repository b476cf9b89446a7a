use super::*;
use crate::credential::Generation;
use crate::journal::Origin;

const OLD: &str = "AKIAOLD";
const NEW: &str = "AKIANEW";

fn id(text: &str) -> AccessKeyId {
    text.parse().expect("an id")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

fn entry(second: i64, record: Record) -> Entry {
    let rotation = (!matches!(record, Record::Enrolled { .. })).then(|| RotationId("r1".into()));
    Entry { time: at(second), rotation, record }
}

fn both(second: i64, act: Act) -> [Entry; 2] {
    let intended = Record::Intended { act: act.clone() };
    [entry(second, intended), entry(second + 1, Record::Done { act })]
}

fn begun() -> Vec<Entry> {
    let enrolled = Record::Enrolled {
        access_key_id: id(OLD),
        account_id: "123456789012".into(),
        arn: "arn:aws:iam::123456789012:user/app".into(),
        user: "app".into(),
        created: Some(at(-10 * 86_400)),
        origin: Origin::HandedOver,
    };
    let create = Act::Create { known: vec![id(OLD)], clock_offset_ms: 0 };
    vec![
        entry(0, enrolled),
        entry(10, Record::Begun { reason: Reason::Scheduled }),
        entry(11, Record::Intended { act: create }),
        entry(13, Record::Created { access_key_id: id(NEW), created: at(12), adopted: false }),
    ]
}

fn published() -> Vec<Entry> {
    let mut entries = begun();
    entries.push(entry(20, Record::Verified { access_key_id: id(NEW) }));
    entries.extend(both(30, Act::Publish { access_key_id: id(NEW), generation: Generation(2) }));
    entries
}

fn deactivated() -> Vec<Entry> {
    let mut entries = published();
    entries.push(entry(100, Record::Drained { access_key_id: id(OLD) }));
    entries.extend(both(110, Act::Deactivate { access_key_id: id(OLD) }));
    entries
}

#[test]
fn a_rotation_that_went_well_says_all_that_it_did() {
    let mut entries = deactivated();
    assert_eq!(receipts(&entries), [], "it is not over");
    entries.extend(both(200, Act::Delete { access_key_id: id(OLD) }));
    entries.extend(both(210, Act::Forget { access_key_id: id(OLD) }));
    entries.push(entry(220, Record::Finished));
    let made = receipts(&entries);
    let [receipt] = &made[..] else { panic!("{made:?}") };
    assert_eq!(receipt.outcome, Outcome::Rotated);
    assert_eq!((receipt.begun, receipt.ended, receipt.lines), (at(10), at(220), (3, 16)));
    assert_eq!(receipt.before.access_key_id, id(OLD));
    let days_old = |second| receipt.before.days_old(at(second));
    assert_eq!(days_old(-1), Some(9));
    assert_eq!((days_old(0), days_old(86_399), days_old(86_400)), (Some(10), Some(10), Some(11)));
    assert_eq!(days_old(-11 * 86_400), Some(0), "a clock was set back");
    assert_eq!(
        (receipt.before.deactivated, receipt.before.deleted),
        (Some(at(111)), Some(at(201)))
    );
    assert_eq!((&receipt.after.access_key_id, receipt.after.deleted), (&id(NEW), None));
    assert_eq!(
        (receipt.accepted, receipt.drained, receipt.refused),
        (Some(at(20)), Some(at(100)), Some(at(111)))
    );
    // From the new key's CreateDate until the old one was seen refused.
    assert_eq!(receipt.two_active_seconds, 111 - 12);
    let acts: Vec<_> = receipt.acts.iter().map(|acted| acted.act.as_str()).collect();
    assert_eq!(acts, ["create", "publish", "deactivate", "delete", "forget"]);
    let json = serde_json::to_string(receipt).expect("plain data");
    assert_eq!(serde_json::from_str::<Receipt>(&json).expect("the same"), *receipt);
}

#[test]
fn an_undo_in_the_soak_counts_both_times_of_two_keys() {
    let mut entries = deactivated();
    entries
        .push(entry(200, Record::UndoBegun { why: "a person asked for it".into(), forced: false }));
    entries.extend(both(210, Act::Activate { access_key_id: id(OLD) }));
    entries.push(entry(220, Record::Verified { access_key_id: id(OLD) }));
    entries.extend(both(230, Act::Publish { access_key_id: id(OLD), generation: Generation(3) }));
    entries.push(entry(300, Record::Drained { access_key_id: id(NEW) }));
    entries.extend(both(310, Act::Deactivate { access_key_id: id(NEW) }));
    entries.extend(both(400, Act::Delete { access_key_id: id(NEW) }));
    entries.extend(both(410, Act::Forget { access_key_id: id(NEW) }));
    entries.push(entry(420, Record::Finished));
    let made = receipts(&entries);
    let [receipt] = &made[..] else { panic!("{made:?}") };
    assert_eq!(
        (receipt.outcome, receipt.why.as_deref()),
        (Outcome::Undone, Some("a person asked for it"))
    );
    assert_eq!(receipt.before.access_key_id, receipt.after.access_key_id);
    assert_eq!((receipt.after.deactivated, receipt.refused), (None, Some(at(311))));
    assert_eq!(receipt.two_active_seconds, (111 - 12) + (311 - 210));
}

/// What was proved of the key that went, when the rotation is turned round, says nothing of the one that goes instead.
#[test]
fn an_undo_forgets_what_was_proved_of_the_other_key() {
    let mut entries = deactivated();
    let begun = Record::UndoBegun { why: "a person asked for it".into(), forced: false };
    entries.push(entry(200, begun));
    entries.extend(both(210, Act::Activate { access_key_id: id(OLD) }));
    entries.push(entry(220, Record::Verified { access_key_id: id(OLD) }));
    entries.extend(both(230, Act::Publish { access_key_id: id(OLD), generation: Generation(3) }));
    // Somebody deletes the new key before it was drained.
    entries.push(entry(240, Record::Vanished { access_key_id: id(NEW) }));
    entries.extend(both(250, Act::Forget { access_key_id: id(NEW) }));
    entries.push(entry(260, Record::Finished));
    let made = receipts(&entries);
    let [receipt] = &made[..] else { panic!("{made:?}") };
    assert_eq!(receipt.outcome, Outcome::Undone);
    assert_eq!((receipt.accepted, receipt.drained, receipt.refused), (Some(at(220)), None, None));
}

#[test]
fn a_key_that_leaked_and_one_that_somebody_deleted_are_told() {
    let mut entries = published();
    entries.push(entry(40, Record::Compromised { access_key_id: id(OLD) }));
    entries.push(entry(50, Record::Vanished { access_key_id: id(OLD) }));
    entries.extend(both(60, Act::Forget { access_key_id: id(OLD) }));
    entries.push(entry(70, Record::Finished));
    let made = receipts(&entries);
    let [receipt] = &made[..] else { panic!("{made:?}") };
    let acts: Vec<_> = receipt
        .acts
        .iter()
        .map(|acted| (acted.time, acted.act.as_str(), &acted.access_key_id))
        .collect();
    assert_eq!(acts[2..4], [(at(40), "compromised", &id(OLD)), (at(50), "vanished", &id(OLD))]);
    // When it was seen to be gone, it was no longer Active either.
    let before = &receipt.before;
    assert_eq!((before.deactivated, before.deleted), (Some(at(50)), Some(at(50))));
    assert_eq!((receipt.refused, receipt.two_active_seconds), (None, 50 - 12));
}

#[test]
fn a_rotation_that_was_given_up_has_a_receipt_only_if_it_changed_something() {
    let mut entries = begun();
    entries.truncate(2);
    entries.push(entry(12, Record::Abandoned { why: "nothing was done".into() }));
    assert_eq!(receipts(&entries), []);

    let mut entries = begun();
    entries.push(entry(20, Record::AbortBegun { why: "a person gave it up".into() }));
    entries.extend(both(30, Act::Delete { access_key_id: id(NEW) }));
    entries.extend(both(40, Act::Forget { access_key_id: id(NEW) }));
    entries.push(entry(50, Record::Abandoned { why: "a person gave it up".into() }));
    let made = receipts(&entries);
    let [receipt] = &made[..] else { panic!("{made:?}") };
    assert_eq!(receipt.outcome, Outcome::GivenUp);
    assert_eq!((&receipt.after.access_key_id, receipt.two_active_seconds), (&id(OLD), 31 - 12));
}

#[test]
fn each_rotation_of_a_journal_has_its_own() {
    let mut entries = deactivated();
    entries.extend(both(200, Act::Delete { access_key_id: id(OLD) }));
    entries.extend(both(210, Act::Forget { access_key_id: id(OLD) }));
    entries.push(entry(220, Record::Finished));
    let first = entries.len();
    let again: Vec<Entry> = entries[1..].to_vec();
    for mut entry in again {
        let json = serde_json::to_string(&entry.record).expect("plain data");
        let json = json
            .replace(NEW, "AKIATHIRD")
            .replace(OLD, NEW)
            .replace("\"generation\":2", "\"generation\":3");
        entry.record = serde_json::from_str(&json).expect("a record");
        entry.rotation = Some(RotationId("r2".into()));
        entries.push(entry);
    }
    let made = receipts(&entries);
    assert_eq!(made.len(), 2, "{made:?}");
    assert_eq!((made[1].lines.0, &made[1].before.access_key_id), (first + 2, &id(NEW)));
    assert_eq!(receipts(&entries[..first]), made[..1]);
}
