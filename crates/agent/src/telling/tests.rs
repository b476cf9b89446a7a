//! Which news comes of what was seen, and that each comes once.

use rotakey_core::journal::{Entry, Origin, Record};
use rotakey_core::rotation::WaitingFor;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

fn status(records: impl IntoIterator<Item = Record>) -> Status {
    let enrolled = Record::Enrolled {
        access_key_id: "AKIAOLD".parse().expect("an id"),
        account_id: "1".to_owned(),
        arn: "arn:aws:iam::1:user/app".to_owned(),
        user: "app".to_owned(),
        created: None,
        origin: Origin::Created,
    };
    let entry = |record| Entry { time: at(0), rotation: Some(RotationId("r1".to_owned())), record };
    let entries: Vec<_> = std::iter::once(enrolled).chain(records).map(entry).collect();
    Status::replay(&entries).expect("legal")
}

fn published() -> Vec<Record> {
    use rotakey_core::credential::Generation;
    use rotakey_core::journal::{Act, Reason};
    let new = "AKIANEW".parse::<AccessKeyId>().expect("an id");
    let known = vec!["AKIAOLD".parse().expect("an id")];
    let publish = Act::Publish { access_key_id: new.clone(), generation: Generation(2) };
    vec![
        Record::Begun { reason: Reason::Scheduled },
        Record::Intended { act: Act::Create { known, clock_offset_ms: 0 } },
        Record::Created { access_key_id: new.clone(), created: at(1), adopted: false },
        Record::Verified { access_key_id: new },
        Record::Intended { act: publish.clone() },
        Record::Done { act: publish },
    ]
}

fn tells(
    told: &mut Told,
    before: &Status,
    after: &Status,
    came: &Came,
    failures: u32,
) -> Vec<Kind> {
    let seen = Seen { profile: "p", now: at(9), before, after, came, failures };
    told.news(&seen).into_iter().map(|news| news.kind).collect()
}

#[test]
fn each_event_is_told_once_however_often_it_is_seen() {
    let (mut told, idle, open) = (Told::default(), status([]), status(published()));
    let straggler = Came::Waits(at(100), WaitingFor::Straggler(at(5), "s3".to_owned()));
    let leases = Came::Waits(at(100), WaitingFor::Leases);
    assert_eq!(tells(&mut told, &idle, &open, &leases, 0), [Kind::Published]);
    assert_eq!(tells(&mut told, &open, &open, &leases, 0), []);
    assert_eq!(tells(&mut told, &open, &open, &straggler, 0), [Kind::Held]);
    let later = Came::Waits(at(900), WaitingFor::Straggler(at(800), "ec2".to_owned()));
    assert_eq!(tells(&mut told, &open, &open, &later, 0), [], "it goes on");
    let failed = Came::Failed("the disk is full".to_owned());
    assert_eq!(tells(&mut told, &open, &open, &failed, 1), [], "it mends itself");
    assert_eq!(tells(&mut told, &open, &open, &failed, 3), [Kind::Failed]);
    assert_eq!(tells(&mut told, &open, &open, &failed, 4), []);
    let offline = Came::Offline("no route".to_owned());
    assert_eq!(tells(&mut told, &open, &open, &offline, 0), []);
    let mut done = idle.clone();
    done.current.clone_from(&open.current);
    assert_eq!(tells(&mut told, &open, &done, &Came::Finished, 0), [Kind::Rotated]);
    assert_eq!(told, Told::default());
}

#[test]
fn a_second_installation_is_told_as_news_and_not_every_hour() {
    let (mut told, idle) = (Told::default(), status([]));
    let other = Came::Blocked(vec![Finding::SecondInstall("rotakey:there".to_owned())]);
    let seen =
        Seen { profile: "p", now: at(0), before: &idle, after: &idle, came: &other, failures: 0 };
    let news = told.news(&seen);
    assert_eq!(news.len(), 1);
    assert!(news[0].message.contains("rotakey:there"), "{news:?}");
    assert!(news[0].hint.as_ref().is_some_and(|hint| hint.contains("untag-user")), "{news:?}");
    assert_eq!(told.news(&seen), []);
    let quarantine = Came::Blocked(vec![Finding::Quarantined("explicit deny".to_owned())]);
    assert_eq!(tells(&mut told, &idle, &idle, &quarantine, 0), [], "told elsewhere");
    assert_eq!(tells(&mut told, &idle, &idle, &other, 0), []);
    let missing = Came::Blocked(vec![Finding::Missing("iam:CreateAccessKey".to_owned())]);
    assert_eq!(tells(&mut told, &idle, &idle, &missing, 0), [Kind::Failed]);
}

#[test]
fn what_was_turned_round_says_who_wanted_it() {
    let verify = |why: &str| {
        let mut records = published();
        records.push(Record::UndoBegun { why: why.to_owned(), forced: false });
        records.push(Record::Verified { access_key_id: "AKIAOLD".parse().expect("an id") });
        let act = rotakey_core::journal::Act::Publish {
            access_key_id: "AKIAOLD".parse().expect("an id"),
            generation: rotakey_core::credential::Generation(3),
        };
        records.push(Record::Intended { act: act.clone() });
        records.push(Record::Done { act });
        status(records)
    };
    let leases = Came::Waits(at(100), WaitingFor::Leases);
    for (why, kind) in [
        (BY_A_PERSON.to_owned(), Kind::Undone),
        (format!("{REACTIVATED}sts refuses it"), Kind::Reactivated),
        ("the sources do not serve the new key".to_owned(), Kind::Failed),
    ] {
        let after = verify(&why);
        let news = tells(&mut Told::default(), &status(published()), &after, &leases, 0);
        assert_eq!(news, [kind], "{why}");
    }
}

#[test]
fn a_stuck_rotation_is_told_with_what_a_person_can_do() {
    let open = status(published());
    let came = Came::Stuck("who is that".to_owned());
    let seen =
        Seen { profile: "p", now: at(0), before: &open, after: &open, came: &came, failures: 0 };
    let news = Told::default().news(&seen);
    let stuck = news.iter().find(|news| news.kind == Kind::Stuck).expect("told");
    assert!(stuck.hint.as_ref().is_some_and(|hint| hint.contains("rotakey resume p")), "{stuck:?}");
    assert_eq!(stuck.message, "who is that", "its kind says that it is stuck");
    assert_eq!(stuck.access_key_id.as_ref().map(AccessKeyId::as_str), Some("AKIAOLD"));
}

#[test]
fn failures_are_news_again_once_it_got_further() {
    let (mut told, idle) = (Told::default(), status([]));
    let failed = Came::Failed("the keystore is locked".to_owned());
    assert_eq!(tells(&mut told, &idle, &idle, &failed, 3), [Kind::Failed]);
    let offline = Came::Offline("no route".to_owned());
    assert_eq!(tells(&mut told, &idle, &idle, &offline, 3), []);
    assert_eq!(tells(&mut told, &idle, &idle, &failed, 4), []);
    let other = Came::Blocked(vec![Finding::SecondInstall("rotakey:there".to_owned())]);
    assert_eq!(tells(&mut told, &idle, &idle, &other, 0), [Kind::Held]);
    assert_eq!(tells(&mut told, &idle, &idle, &failed, 2), []);
    assert_eq!(tells(&mut told, &idle, &idle, &failed, 3), [Kind::Failed]);
}

#[test]
fn only_the_use_that_was_told_is_let_pass() {
    let (mut told, open) = (Told::default(), status(published()));
    let used = |second| Came::Waits(at(900), WaitingFor::Straggler(at(second), "s3".to_owned()));
    tells(&mut told, &open, &open, &used(5), 0);
    assert_eq!(told.straggler, Some(at(5)));
    tells(&mut told, &open, &open, &used(50), 0);
    assert_eq!(told.straggler, Some(at(5)), "that was not told");
    told.heard(&used(50));
    assert_eq!(told.straggler, Some(at(50)));
}
