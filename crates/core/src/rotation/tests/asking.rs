//! What is asked again, and of whom: after a reply that was lost, a key that is refused, a machine that fails.

use super::moments::{NOT_DONE, ROTATE, crashed, create, find, trace, world};
use super::world::{Blow, World, id, old, refusal};
use crate::credential::KeyStatus;
use crate::error::Failure;
use crate::iam::RefusalClass;
use crate::journal::{Entry, Record};
use crate::rotation::{Command, Ending, Finding, Goal, WaitingFor};

fn changes_a_key(command: &Command) -> bool {
    matches!(command, Command::Update { .. } | Command::Delete { .. })
}

fn is_list_of(command: &Command, key: &str) -> bool {
    matches!(command, Command::List { signer } if *signer == id(key))
}

/// The commands of a rotation from the one whose reply was lost on.
fn after_a_lost_reply(n: usize) -> (Vec<Command>, Option<Ending>) {
    let mut world = world();
    let (_, ending) = world.drive(ROTATE, Some((n, NOT_DONE)));
    (world.commands().skip(n).cloned().collect(), ending)
}

#[test]
fn a_question_whose_answer_was_lost_is_asked_again() {
    let trace = trace();
    for (n, command) in trace.iter().enumerate() {
        // A change is looked at first, once there is a rotation; a creation has its own way.
        let asks = !command.action().is_empty() && n != create();
        if !asks || (n > create() && changes_a_key(command)) {
            continue;
        }
        let (commands, ending) = after_a_lost_reply(n);
        assert!(matches!(commands[1], Command::Wait { waiting_for: WaitingFor::Aws(_), .. }));
        assert_eq!((&commands[2], ending), (command, Some(Ending::Finished)));
    }
}

#[test]
fn a_change_whose_reply_was_lost_is_looked_at_first() {
    let trace = trace();
    let changes = trace.iter().enumerate().skip(create()).filter(|(_, c)| changes_a_key(c));
    for (n, command) in changes {
        let (commands, ending) = after_a_lost_reply(n);
        assert!(matches!(commands[1], Command::Wait { waiting_for: WaitingFor::Aws(_), .. }));
        assert!(is_list_of(&commands[2], "AKIANEW1"), "{command:?}: {:?}", commands[2]);
        assert_eq!(ending, Some(Ending::Finished), "{command:?}");
    }
}

#[test]
fn a_machine_that_fails_ends_the_run_and_says_what_failed() {
    let broken = Failure::Environment("broken".to_owned());
    for (n, command) in trace().iter().enumerate() {
        // What the keystore does not take or does not tell is asked again, or is an orphan.
        let has_its_own_way =
            matches!(command, Command::Store(_) | Command::Holds(_) | Command::Fetch);
        if has_its_own_way || matches!(command, Command::Wait { .. } | Command::End(_)) {
            continue;
        }
        let mut world = world();
        let (commands, ending) = world.drive(ROTATE, Some((n, Blow::Fault { done: false })));
        assert_eq!(
            (commands, ending),
            (n + 1, Some(Ending::Failed(broken.clone()))),
            "{command:?}"
        );
    }
}

/// Crashed after the publish; then the new key is refused.
fn published_and_refused() -> World {
    let mut world = crashed(|command| matches!(command, Command::ReadHorizon(_)));
    world.iam.get_mut(&id("AKIANEW1")).expect("made").status = KeyStatus::Inactive;
    world.meddled = true;
    world
}

#[test]
fn when_the_served_key_is_refused_the_other_one_tells_what_is_the_matter() {
    let mut world = published_and_refused();
    let before = world.commands().count();
    let (_, ending) = world.drive(Goal::Resume, None);
    let asked: Vec<_> = world.commands().skip(before).take(2).collect();
    assert!(is_list_of(asked[0], "AKIANEW1") && is_list_of(asked[1], "AKIAOLD"), "{asked:?}");
    assert!(
        matches!(&ending, Some(Ending::Stuck(why)) if why.contains("deactivated by somebody else")),
        "{ending:?}"
    );
}

#[test]
fn when_no_key_of_ours_is_accepted_the_refusal_is_told() {
    let refused = Failure::Account {
        act: "iam:ListAccessKeys".to_owned(),
        refusal: refusal(RefusalClass::KeyUnknown),
    };
    let mut both = published_and_refused();
    both.iam.get_mut(&old()).expect("there").status = KeyStatus::Inactive;
    // Before the creation there is no other key to ask.
    let mut one = crashed(|command| super::moments::intends(command, "create"));
    one.iam.get_mut(&old()).expect("there").status = KeyStatus::Inactive;
    one.meddled = true;
    for (mut world, lists) in [(both, 2), (one, 1)] {
        let (commands, ending) = world.drive(Goal::Resume, None);
        assert_eq!((commands, ending), (lists, Some(Ending::Failed(refused.clone()))));
    }
}

#[test]
fn a_key_that_is_out_of_service_is_not_asked_and_a_dry_run_says_so_too() {
    let mut world = world();
    let record = Record::Withdrawn { access_key_id: old() };
    world.journal.push(Entry { time: world.now.wall, rotation: None, record });
    let why = "AKIAOLD leaked, and was taken out of service".to_owned();
    let findings = vec![Finding::KeyUnusable(why)];
    let ending = Ending::Checked(findings.clone());
    assert_eq!(world.drive(Goal::Check, None), (0, Some(ending)));
    assert_eq!(world.drive(ROTATE, None), (0, Some(Ending::Blocked(findings))));
}

#[test]
fn without_a_rotation_a_change_that_only_tries_is_simply_tried_again() {
    let tries = find(changes_a_key);
    assert!(tries < create(), "preflight asks for what changes nothing");
    let (commands, _) = after_a_lost_reply(tries);
    assert_eq!(commands[0], commands[2]);
}
