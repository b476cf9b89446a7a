use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

/// A flood of a day is a few dozen lines.
#[test]
fn a_flood_fills_no_disk_and_every_refusal_is_counted() {
    let mut tally = Tally::default();
    let (mut lines, mut counted) = (0u64, 0u64);
    for second in 0..86_400 {
        for uid in [0, 1000] {
            if tally.note((Refused::User.into(), Some(uid)), "GET /", at(second)).is_some() {
                (lines, counted) = (lines + 1, counted + 1);
            }
        }
        for (_, line) in tally.due(at(second)) {
            lines += 1;
            counted += line.split(' ').next().expect("a count").parse::<u64>().expect("one");
        }
    }
    let rest = tally.due(Timestamp::MAX);
    counted += rest
        .iter()
        .map(|(_, line)| line.split(' ').next().expect("a count").parse::<u64>().expect("one"))
        .sum::<u64>();
    assert_eq!(counted, 2 * 86_400);
    assert!((20..100).contains(&lines), "{lines}");
}

#[test]
fn what_is_quiet_for_a_while_is_told_at_once_again() {
    let mut tally = Tally::default();
    let kind = (Refused::Token.into(), Some(1));
    assert!(tally.note(kind, "one", at(0)).is_some());
    assert!(tally.note(kind, "two", at(1)).is_none());
    assert_eq!(tally.due(at(60)), [(kind, "1 more, the last one: two".to_owned())]);
    assert_eq!(tally.due(at(60 + 120)), []);
    assert!(tally.note(kind, "three", at(200)).is_some());
}

#[test]
fn strangers_of_many_kinds_share_a_line() {
    let mut tally = Tally::default();
    let told =
        (0..1000).filter(|uid| tally.note((Refused::User.into(), Some(*uid)), "", at(0)).is_some());
    assert_eq!(told.count(), KINDS_MAX + 1);
}

#[test]
fn a_programs_use_of_a_placeholder_is_written_once_a_day() {
    let mut uses = Uses::default();
    let (one, two): (AccessKeyId, AccessKeyId) =
        ("ROTAKEYONE".parse().expect("an id"), "ROTAKEYTWO".parse().expect("an id"));
    let exe = |name: &str| Some(name.to_owned());
    assert!(uses.note(&one, exe("/a"), at(0)) && uses.note(&one, exe("/b"), at(0)));
    assert!(uses.note(&two, exe("/a"), at(0)) && uses.note(&one, None, at(0)));
    assert!(!uses.note(&one, exe("/a"), at(86_399)));
    assert!(uses.note(&one, exe("/a"), at(86_400)));
}
