//! What random schedules found, by the shortest of them: each part of the rule that would have let it happen is
//! left out, and put back.

use crate::model_clients::Source;
use crate::rule::{Part, Watch};
use crate::schedule::Event::*;
use crate::story::{AFTER, Story, kind};

const HOUR: u32 = 3600;

impl Story {
    fn needs(&self, part: Part) {
        let broken = self.play_without(Some(part), true).err().expect("a client signs with K");
        assert!(broken.contains(AFTER), "{broken}");
        self.play(true).map(drop).expect("no client does");
    }
}

/// An answer may go out without a reading of the monotonic clock. A client that caches by it then outlives SAFE
/// by as long as the machine is suspended.
#[test]
fn what_was_not_read_on_the_monotonic_clock_is_bounded_by_the_cutover() {
    let crt = Story {
        kind: kind(Source::Process, "CRT"),
        watch: Watch::Published,
        before: &[],
        after: &[Suspend(8 * HOUR)],
        gone: &[],
    };
    // Nothing could be written.
    Story { before: &[DiskFills, SignAll], ..crt }.needs(Part::MonotonicOfCutover);
    // In this boot nothing had to be: the wall clock's horizon is from the last one, and goes as far.
    let rebooted = &[SignAll, Reboot { off: 60, step: 0 }, SignAll];
    Story { before: rebooted, ..crt }.needs(Part::MonotonicOfCutover);
    // Nor after the clock was set back, although the monotonic one has gone on for a long time.
    let set_back = &[SignAll, Step(-36_000), Pass(6 * HOUR), SignAll];
    Story { before: set_back, after: &[Suspend(12 * HOUR)], ..crt }.needs(Part::MonotonicOfCutover);
}

/// The .NET client asks IMDS by a timer, and that stands still with the machine: X has to pass awake.
#[test]
fn a_back_off_does_not_pass_while_the_machine_is_suspended() {
    let story = Story {
        kind: kind(Source::Imds, ".NET"),
        watch: Watch::Agent,
        before: &[SignAll],
        after: &[OutageBegins, Pass(2 * HOUR), SignAll, OutageEnds, Suspend(HOUR)],
        gone: &[],
    };
    story.needs(Part::Gains);
}
