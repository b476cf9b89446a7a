//! What the rule does not cover, each with the shortest schedule that shows it. `docs/leases.md` says the same in
//! words. Should one of these fail, the rule has become better than its documentation.

use crate::model_clients::{KINDS, Source};
use crate::rule::Watch;
use crate::schedule::Event::*;
use crate::story::{AFTER, BEFORE, Story, kind};
use crate::world::old;

const MINUTE: i32 = 60;
const HOUR: i32 = 3600;

#[test]
fn a_clock_that_is_set_back_once_the_key_is_gone_brings_an_ended_lease_back() {
    let go = kind(Source::Process, "Go v2");
    // K was told until 60 minutes; the horizon is 70, and SAFE is 85 and a second.
    let story =
        |gone| Story { kind: go, watch: Watch::Published, before: &[SignAll], after: &[], gone };
    story(&[Step(-26 * MINUTE), SignAll]).is_a_limit(AFTER);
    // S and C are slack: a step of no more than that brings nothing back.
    assert!(story(&[Step(-15 * MINUTE - 1), SignAll]).play(false).is_ok());
}

#[test]
fn a_step_forward_that_nobody_sees_takes_the_signature_window_away() {
    let story = |watch| Story {
        kind: kind(Source::Process, "Go v2"),
        watch,
        before: &[SignAll],
        // Four hours slow for longer than the monotonic clock holds K, and then set right.
        after: &[Step(-4 * HOUR), Pass(16_000), SignAll, Step(4 * HOUR)],
        gone: &[],
    };
    story(Watch::Published).is_a_limit(BEFORE);
    // An agent sees the wall clock gain on the monotonic one, and begins to count again.
    assert!(story(Watch::Agent).play(false).is_ok());
}

#[test]
fn a_clock_that_is_set_back_after_an_answer_that_was_not_recorded_hides_its_end() {
    let story = Story {
        kind: kind(Source::Process, "Go v2"),
        watch: Watch::Published,
        before: &[DiskFills, SignAll, DiskEmpties, Step(-2 * HOUR)],
        after: &[],
        gone: &[],
    };
    story.is_a_limit(BEFORE);
}

#[test]
fn a_clock_that_is_set_back_in_an_outage_hides_the_end_of_a_back_off() {
    let story = Story {
        kind: kind(Source::Imds, "Go v2"),
        watch: Watch::Agent,
        before: &[SignAll, OutageBegins, Pass(7200), SignAll, Step(-100 * MINUTE)],
        after: &[],
        gone: &[],
    };
    story.is_a_limit(BEFORE);
}

#[test]
fn a_clock_that_is_set_back_while_an_answer_is_on_its_way_lengthens_its_life() {
    let story = Story {
        kind: kind(Source::Process, "CRT"),
        watch: Watch::Published,
        before: &[AnswerOnItsWay, Step(-8 * HOUR), SignAll],
        after: &[Suspend(32_400)],
        gone: &[],
    };
    story.is_a_limit(BEFORE);
}

#[test]
fn a_client_that_keeps_its_key_in_an_outage_must_have_woken_before() {
    for kind in KINDS.iter().filter(|kind| !kind.bounded) {
        let story = Story {
            kind: *kind,
            watch: Watch::Agent,
            before: &[SignAll],
            after: &[],
            gone: &[OutageBegins, SignAll],
        };
        story.is_a_limit(AFTER);
    }
    for kind in KINDS.iter().filter(|kind| kind.bounded) {
        let story = Story {
            kind: *kind,
            watch: Watch::Agent,
            before: &[SignAll],
            after: &[],
            gone: &[OutageBegins, SignAll],
        };
        assert!(story.play(false).is_ok(), "{kind:?}");
    }
}

#[test]
fn a_client_whose_own_path_is_broken_signs_with_the_old_key_for_ever() {
    for kind in KINDS {
        let story =
            Story { kind: *kind, watch: Watch::Agent, before: &[SignAll], after: &[], gone: &[] };
        let mut play = story.play(true).expect("what the rule covers");
        assert!(play.gone.is_some());
        // The source is healthy; a proxy, a network namespace or a limit is in this one's way.
        let signed = play.clients[0].sign(&play.world.now(), &mut || None);
        assert_eq!(signed == Some(old()), !kind.bounded, "{kind:?}");
    }
}

#[test]
fn a_client_that_keeps_its_key_in_an_outage_needs_somebody_who_sees_outages() {
    let story = |watch| Story {
        kind: kind(Source::Process, "botocore, to come"),
        watch,
        before: &[SignAll],
        after: &[OutageBegins, Pass(6000), SignAll],
        gone: &[],
    };
    let broken = story(Watch::Published).play(true).err().expect("nobody sees the outage");
    assert!(broken.contains(BEFORE), "{broken}");
    story(Watch::Agent).play(true).map(drop).expect("what the rule covers");
}
