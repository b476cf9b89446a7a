//! Every program with every source that it knows: before, during and after a rotation.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use serde_json::json;

use super::agent::{Agent, world};
use super::driver::{Driver, Sdk};
use super::program::{Client, Program};
use super::sources::{Place, Source};
use super::support::{Run, World};

/// How many requests each makes before the rotation, and after it.
const AROUND: usize = 3;

/// Between two requests of one client: the machine has other things to do.
const PAUSE: Duration = Duration::from_millis(100);

/// What became of the requests of all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: AtomicU64,
    pub(crate) refused: Mutex<Vec<String>>,
}

impl Tally {
    /// One request.
    pub(crate) fn request(&self, client: &mut Client, who: &str, when: &str) -> Option<String> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match client.request() {
            Ok(signer) => signer,
            Err(error) => {
                self.refused.lock().unwrap().push(format!("{who}, {when} the rotation: {error}"));
                None
            }
        }
    }
}

/// Makes the bucket and the table that the programs use.
pub(crate) fn furnish(place: &Place) {
    let mut driver = Driver::start(Sdk::Boto3, Source::Process, place, &[]);
    for call in ["s3bucket", "s3note", "table"] {
        let answer = driver.ask(call);
        assert!(answer.ok, "{call}: {answer:?}");
    }
}

/// Runs these programs through one rotation.
pub(crate) fn through_a_rotation(pairs: &[(Program, Source)], tally: &Tally) {
    let world = world();
    let agent = Agent::start(&world);
    furnish(&agent.place);
    let over = AtomicBool::new(false);
    let (under_way, begun) = channel();
    std::thread::scope(|scope| {
        let clients: Vec<_> = pairs
            .iter()
            .map(|&(program, source)| {
                let (place, over, world) = (&agent.place, &over, &world);
                let under_way = under_way.clone();
                scope.spawn(move || live(program, source, place, under_way, over, tally, world))
            })
            .collect();
        drop(under_way);
        // The rotation begins when all are under way. One that could not be has let go of its end of the channel.
        begun.iter().for_each(drop);
        let rotation: Run =
            world.spawn(&["rotate", "--wait", "deleted"]).wait_with_output().unwrap().into();
        over.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("a client's thread"));
        assert_eq!(rotation.code, 0, "{rotation:?}");
    });
    world.assert_rotated();
}

/// One client's life.
fn live(
    program: Program,
    source: Source,
    place: &Place,
    under_way: Sender<()>,
    over: &AtomicBool,
    tally: &Tally,
    world: &World,
) {
    let who = format!("{} by {}", program.name(), source.name());
    let mut client = Client::start(program, source, place);
    let mut before = None;
    for _ in 0..AROUND {
        before = tally.request(&mut client, &who, "before");
    }
    under_way.send(()).expect("it is waited for");
    drop(under_way);
    while !over.load(Ordering::Relaxed) {
        tally.request(&mut client, &who, "during");
        std::thread::sleep(PAUSE);
    }
    let mut after = None;
    for _ in 0..AROUND {
        after = tally.request(&mut client, &who, "after");
    }
    if before.is_some() && before == after {
        tally.refused.lock().unwrap().push(format!("{who}: {after:?} signs before and after"));
    }
    if let Some(signer) = after {
        let key = key_of(world, &signer);
        if key.as_deref() != Some(&*world.keys()[0].0) {
            tally.refused.lock().unwrap().push(format!("{who}: {signer} of {key:?} signs after"));
        }
    }
}

/// The user's newest key.
pub(crate) fn current(world: &World) -> String {
    world.keys().pop().expect("a key").0
}

/// Waits until the rotation is over. The agent brings it there, as it does what a person leaves.
pub(crate) fn finish(world: &World) {
    let since = Instant::now();
    while world.keys().len() > 1 || world.step().is_some() {
        assert!(since.elapsed() < Duration::from_secs(180), "{:?}", world.status());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The key at the root of what signed.
pub(crate) fn key_of(world: &World, signer: &str) -> Option<String> {
    if signer.starts_with("AKIA") {
        return Some(signer.to_owned());
    }
    let sessions = world.control(json!({"op": "sessions"}));
    let sessions = sessions["sessions"].as_array()?;
    let found = sessions.iter().find(|session| session["access_key_id"] == signer)?;
    found["minted_from"].as_str().map(str::to_owned)
}
