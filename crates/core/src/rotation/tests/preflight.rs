//! What is looked at before a rotation, and what stands in its way: each is named, and nothing is changed.

use super::moments::{ROTATE, find, trace, world};
use super::world::{Blow, World, foreign, identity, refusal};
use crate::error::Failure;
use crate::iam::{CallerIdentity, RefusalClass};
use crate::journal::{Reason, Record};
use crate::rotation::preflight::describe;
use crate::rotation::{Command, Ending, Finding, Goal};

const NEEDED: [&str; 3] =
    ["iam:GetAccessKeyLastUsed", "iam:UpdateAccessKey", "iam:DeleteAccessKey"];

fn missing(action: &str) -> Finding {
    Finding::Missing(action.to_owned())
}

/// A world that denies this.
fn denying(denials: &[(&'static str, RefusalClass)]) -> World {
    let mut world = world();
    world.denied = denials.iter().copied().collect();
    world
}

#[track_caller]
fn blocks(mut world: World, findings: &[Finding]) {
    let (_, ending) = world.drive(ROTATE, None);
    assert_eq!(ending, Some(Ending::Blocked(findings.to_vec())));
    assert_eq!((world.journal.len(), world.iam.len()), (1, 1), "something was changed");
}

#[test]
fn each_denied_action_blocks_and_is_named() {
    for action in NEEDED.into_iter().chain(["iam:ListAccessKeys"]) {
        blocks(denying(&[(action, RefusalClass::Permission)]), &[missing(action)]);
    }
    let all = NEEDED.map(|action| (action, RefusalClass::Permission));
    blocks(denying(&all), &NEEDED.map(missing));
}

#[test]
fn what_the_simulation_denies_blocks_and_is_named_once() {
    let mut world = denying(&NEEDED.map(|action| (action, RefusalClass::Permission)));
    world.simulates = true;
    let mut findings = NEEDED.map(missing);
    findings.sort_by_key(describe);
    blocks(world, &findings);
}

#[test]
fn what_the_simulation_allows_is_not_tried_out() {
    let mut world = world();
    world.simulates = true;
    assert_eq!(world.drive(Goal::Check, None).1, Some(Ending::Checked(Vec::new())));
    let tried = world.sent(|command| NEEDED.contains(&command.action()));
    assert_eq!(tried, 0);
}

#[test]
fn a_quarantine_is_named_instead_of_what_it_denies() {
    use RefusalClass::{Permission, Quarantine};
    let quarantined = [Finding::Quarantined("no".to_owned())];
    blocks(denying(&NEEDED.map(|action| (action, Quarantine))), &quarantined);
    let mut simulated = denying(&NEEDED.map(|action| (action, Quarantine)));
    simulated.simulates = true;
    blocks(simulated, &quarantined);
    for at in 0..NEEDED.len() {
        let mut denials = NEEDED.map(|action| (action, Permission));
        denials[at].1 = Quarantine;
        blocks(denying(&denials), &quarantined);
    }
}

#[test]
fn a_refused_key_is_an_error_that_names_the_call() {
    // What only says whether something is allowed is refused to keys of every kind.
    let told = |command: &Command| {
        !command.action().is_empty() && !matches!(command, Command::Simulate { .. })
    };
    let (trace, mut tried) = (trace(), Vec::new());
    for (n, command) in trace.iter().enumerate() {
        if matches!(command, Command::Append(_)) {
            break;
        }
        if NEEDED.contains(&command.action()) || !told(command) {
            continue;
        }
        let mut world = world();
        let blow = Blow::Refused(RefusalClass::KeyUnknown);
        let (_, ending) = world.drive(ROTATE, Some((n, blow)));
        let failure = Failure::Account {
            act: command.action().to_owned(),
            refusal: refusal(RefusalClass::KeyUnknown),
        };
        assert_eq!(ending, Some(Ending::Failed(failure)), "{command:?}");
        tried.push(command.action());
    }
    let [list, tags] = ["iam:ListAccessKeys", "iam:ListUserTags"];
    assert_eq!(tried, ["sts:GetCallerIdentity", tags, "iam:TagUser", tags, list, list]);
}

#[test]
fn a_second_installation_is_named_at_once_and_a_dry_run_names_the_rest_too() {
    let second = Finding::SecondInstall("rotakey:elsewhere".to_owned());
    let mut world = world();
    world.tags.push(("rotakey:elsewhere".to_owned(), String::new()));
    world.add_foreign();
    let (_, ending) = world.clone().drive(Goal::Check, None);
    let all = vec![second.clone(), Finding::Stranger(vec![foreign()])];
    assert_eq!(ending, Some(Ending::Checked(all)));
    assert_eq!(world.drive(ROTATE, None).1, Some(Ending::Blocked(vec![second])));
    assert_eq!(world.sent(|command| matches!(command, Command::List { .. })), 0);
}

#[test]
fn the_keys_are_listed_again_only_for_a_creation() {
    let lists = |world: &World| world.sent(|command| matches!(command, Command::List { .. }));
    let mut checked = world();
    checked.drive(Goal::Check, None);
    let mut blocked = denying(&[("iam:DeleteAccessKey", RefusalClass::Permission)]);
    blocked.drive(ROTATE, None);
    assert_eq!((lists(&checked), lists(&blocked)), (1, 1));
}

#[test]
fn a_key_of_another_user_or_another_account_blocks() {
    for caller in [
        CallerIdentity { arn: "arn:aws:iam::1:user/other".to_owned(), ..identity() },
        CallerIdentity { account_id: "2".to_owned(), ..identity() },
    ] {
        let finding = Finding::OtherUser(caller.arn.clone());
        let mut world = world();
        world.caller = caller;
        blocks(world, &[finding]);
    }
}

#[test]
fn a_dry_run_names_everything_at_once_and_a_rotation_tries_nothing_in_vain() {
    let stranger = Finding::Stranger(vec![foreign()]);
    let mut world = denying(&[("iam:DeleteAccessKey", RefusalClass::Permission)]);
    world.add_foreign();
    let (_, ending) = world.clone().drive(Goal::Check, None);
    let all = vec![stranger.clone(), missing("iam:DeleteAccessKey")];
    assert_eq!(ending, Some(Ending::Checked(all)));
    assert_eq!(world.drive(ROTATE, None).1, Some(Ending::Blocked(vec![stranger])));
    assert_eq!(world.sent(|command| NEEDED.contains(&command.action())), 0);
}

#[test]
fn tags_that_may_not_be_read_or_set_are_worth_a_warning_and_stop_nothing() {
    for (action, goal) in
        [("iam:ListUserTags", Goal::Check), ("iam:ListUserTags", ROTATE), ("iam:TagUser", ROTATE)]
    {
        let mut world = denying(&[(action, RefusalClass::Permission)]);
        let (_, ending) = world.drive(goal.clone(), None);
        if goal == ROTATE {
            assert_eq!(ending, Some(Ending::Finished), "{action}");
            continue;
        }
        let Some(Ending::Checked(findings)) = ending else { panic!("{ending:?}") };
        assert!(
            matches!(&findings[..], [Finding::Warning(why)] if why.contains(action)),
            "{findings:?}"
        );
    }
}

#[test]
fn the_tag_of_an_installation_is_set_once() {
    let own = |command: &Command| matches!(command, Command::Tag { describes: None, .. });
    let mut world = world();
    world.tags.push(("team".to_owned(), "a".to_owned()));
    world.drive(ROTATE, None);
    assert_eq!(world.sent(own), 1);
    world.drive(ROTATE, None);
    assert_eq!(world.sent(own), 1);
}

#[test]
fn the_journal_says_why_a_rotation_was_begun() {
    for reason in [Reason::Forced, Reason::Scheduled] {
        let mut world = world();
        world.drive(Goal::Rotate(reason), None);
        let begun = |record: &Record| *record == Record::Begun { reason };
        assert_eq!(world.recorded(begun), 1);
    }
}

#[test]
fn the_journal_says_what_stood_in_the_way_of_a_rotation_that_was_begun() {
    let mut world = world();
    let begun = find(|command| matches!(command, Command::Append(_)));
    world.drive(ROTATE, Some((begun, Blow::CrashAfter)));
    world.add_foreign();
    let stranger = Finding::Stranger(vec![foreign()]);
    let (_, ending) = world.drive(Goal::Resume, None);
    assert_eq!(ending, Some(Ending::Blocked(vec![stranger.clone()])));
    let status = world.status();
    assert_eq!((status.rotation, status.last_failure), (None, Some(describe(&stranger))));
}

#[test]
fn a_finding_is_told_with_the_thing_that_it_is_about() {
    let named = |text: &str| text.to_owned();
    for finding in [
        Finding::OtherUser(named("AKIANAMED")),
        Finding::KeyUnusable(named("AKIANAMED")),
        Finding::Stranger(vec!["AKIANAMED".parse().expect("an id")]),
        Finding::Missing(named("AKIANAMED")),
        Finding::Quarantined(named("AKIANAMED")),
        Finding::SecondInstall(named("AKIANAMED")),
        Finding::Warning(named("AKIANAMED")),
    ] {
        assert!(describe(&finding).contains("AKIANAMED"), "{finding:?}");
    }
}
