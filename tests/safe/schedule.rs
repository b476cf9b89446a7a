//! What may happen around a cutover, at random.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model_clients::{KINDS, Kind};

/// One thing that happens. Durations are seconds.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client, by its place, signs a request.
    Sign(usize),
    /// Every client does.
    SignAll,
    Pass(u32),
    /// Until this long before or after the instant at which the old key is expected to be safe.
    PassToSafe(i32),
    /// The machine sleeps: only the wall clock goes on.
    Suspend(u32),
    /// Somebody sets the wall clock.
    Step(i32),
    /// The machine is off for a while, and comes up with its wall clock wrong by so much.
    Reboot {
        off: u32,
        step: i32,
    },
    /// The source fails, for every client.
    OutageBegins,
    OutageEnds,
    /// The ledger cannot be written, until it can.
    DiskFills,
    DiskEmpties,
    /// An answer is made, and is on its way when what comes next happens.
    AnswerOnItsWay,
    /// The next answer is lost with the process that makes it, once the horizon is written or before.
    Crash {
        recorded: bool,
    },
    /// The agent's process is started again.
    Restart,
    /// Somewhere AWS does not know the new key yet: the proxy signs with K.
    FallsOver,
}

/// A life of K: served, superseded, and gone.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The fraction of a second that the wall clock starts with.
    pub millisecond: u16,
    pub clients: Vec<(Kind, u64)>,
    pub before: Vec<Event>,
    /// After the cutover. Then whatever is broken is mended, until K is safe.
    pub after: Vec<Event>,
    pub gone: Vec<Event>,
}

fn seconds() -> impl Strategy<Value = u32> {
    prop_oneof![
        1_u32..120,
        (1_u32..60).prop_map(|minutes| minutes * 60),
        // Around the life of a lease, and what comes after it.
        1500_u32..6000,
        (1_u32..12).prop_map(|hours| hours * 3600),
    ]
}

fn step() -> impl Strategy<Value = i32> {
    (seconds(), any::<bool>()).prop_map(|(seconds, back)| {
        let seconds = i32::try_from(seconds).expect("some hours");
        if back { -seconds } else { seconds }
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0_usize..6).prop_map(Event::Sign),
        4 => Just(Event::SignAll),
        6 => seconds().prop_map(Event::Pass),
        3 => (-1200_i32..120).prop_map(Event::PassToSafe),
        2 => seconds().prop_map(Event::Suspend),
        2 => step().prop_map(Event::Step),
        1 => (seconds(), prop_oneof![Just(0), step()])
            .prop_map(|(off, step)| Event::Reboot { off, step }),
        3 => Just(Event::OutageBegins),
        3 => Just(Event::OutageEnds),
        2 => Just(Event::DiskFills),
        1 => Just(Event::DiskEmpties),
        1 => Just(Event::AnswerOnItsWay),
        1 => any::<bool>().prop_map(|recorded| Event::Crash { recorded }),
        1 => Just(Event::Restart),
        2 => Just(Event::FallsOver),
    ]
}

/// Nothing breaks, and nobody touches a clock.
fn healthy_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_usize..6).prop_map(Event::Sign),
        Just(Event::SignAll),
        seconds().prop_map(Event::Pass),
        (-1200_i32..120).prop_map(Event::PassToSafe),
    ]
}

fn schedule_of<S: Strategy<Value = Event>>(
    kinds: Vec<Kind>,
    event: impl Fn() -> S,
) -> impl Strategy<Value = Schedule> {
    let client = (proptest::sample::select(kinds), any::<u64>());
    let parts = (
        0_u16..1000,
        vec(client, 1..6),
        vec(event(), 0..14),
        vec(event(), 0..18),
        vec(event(), 0..8),
    );
    parts.prop_map(|(millisecond, clients, before, after, gone)| Schedule {
        millisecond,
        clients,
        before,
        after,
        gone,
    })
}

/// Anything, for clients of these kinds.
pub fn schedules(kinds: Vec<Kind>) -> impl Strategy<Value = Schedule> {
    schedule_of(kinds, event)
}

/// Only time passes.
pub fn healthy_schedules() -> impl Strategy<Value = Schedule> {
    schedule_of(KINDS.to_vec(), healthy_event)
}
