//! What an installation says to another one, and what it notices of it. Found by the model of two: `make model`.

use super::world::{Blow, SERVER_AHEAD, World, old, seconds};
use crate::iam::RefusalClass;
use crate::journal::{Act, Origin, Reason, Record};
use crate::rotation::{Command, Ending, Finding, Goal};
use crate::time::later;

const ROTATE: Goal = Goal::Rotate(Reason::Forced);

fn ours(world: &World) -> bool {
    world.tags.iter().any(|(key, _)| key == "rotakey:here")
}

#[test]
fn an_installation_that_goes_no_further_has_said_that_it_is_there() {
    let elsewhere = || ("rotakey:elsewhere".to_owned(), String::new());
    let mut second = World::new(Origin::HandedOver);
    second.tags.push(elsewhere());
    let (_, ending) = second.drive(ROTATE, None);
    let finding = Finding::SecondInstall("rotakey:elsewhere".to_owned());
    assert_eq!(ending, Some(Ending::Blocked(vec![finding])));
    assert!(ours(&second));

    let mut crowded = World::new(Origin::HandedOver);
    crowded.add_foreign();
    let (_, ending) = crowded.drive(ROTATE, None);
    assert!(matches!(ending, Some(Ending::Blocked(_))), "{ending:?}");
    assert!(ours(&crowded));
}

#[test]
fn only_looking_says_nothing() {
    let mut world = World::new(Origin::HandedOver);
    world.tags.push(("rotakey:elsewhere".to_owned(), String::new()));
    let (_, ending) = world.drive(Goal::Check, None);
    assert!(matches!(ending, Some(Ending::Checked(_))), "{ending:?}");
    assert!(!ours(&world));
}

#[test]
fn a_denied_tag_does_not_hide_the_other_installation() {
    let mut world = World::new(Origin::HandedOver);
    world.tags.push(("rotakey:elsewhere".to_owned(), String::new()));
    // GetCallerIdentity, ListUserTags, TagUser.
    let denied = Blow::Refused(RefusalClass::Permission);
    let (_, ending) = world.drive(ROTATE, Some((2, denied)));
    let finding = Finding::SecondInstall("rotakey:elsewhere".to_owned());
    assert!(
        matches!(&ending, Some(Ending::Blocked(findings)) if findings.contains(&finding)),
        "{ending:?}"
    );
}

/// A laptop that sleeps between the list and the intent must not take the hours for its clock's error.
#[test]
fn the_servers_clock_is_compared_when_its_answer_comes() {
    let mut world = World::new(Origin::HandedOver);
    world.drive_with(ROTATE, &[], |world, _, command| {
        if matches!(command, Command::Append(entry) if matches!(entry.record, Record::Begun { .. }))
        {
            world.now.wall = later(world.now.wall, seconds(4 * 3600));
            world.now.monotonic.since_boot += seconds(4 * 3600);
        }
    });
    let offset = world.journal.iter().find_map(|entry| match &entry.record {
        Record::Intended { act: Act::Create { clock_offset_ms, .. } } => Some(*clock_offset_ms),
        _ => None,
    });
    // The server tells whole seconds.
    let ahead = i64::try_from(SERVER_AHEAD.as_millis()).expect("short");
    assert!(offset.is_some_and(|offset| (offset - ahead).abs() <= 1000), "{offset:?}");
}

/// A use that IAM shows late is only of use if there is time left to see it.
#[test]
fn observing_begins_when_our_leases_explain_nothing_any_more() {
    let mut world = World::new(Origin::HandedOver);
    let mut served_until = None;
    world.drive_with(ROTATE, &[], |world, _, command| {
        let horizon = world.ledger.horizons.get(&old());
        served_until = served_until.max(horizon.and_then(|horizon| horizon.served_until));
        if matches!(command, Command::LastUsed { id, .. } if *id == old() && world.served.len() > 1)
        {
            let explained = later(served_until.expect("served"), world.policy.signature_window);
            assert!(world.now.wall >= later(explained, world.policy.observe));
        }
    });
    world.settled();
}
