//! When to kill, and the count of what was hit.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::client::Seen;
use super::invariants::Violation;
use super::support::{Run, World};

/// Longer than any run takes, a lost reply's wait included.
const RUN_MAX: Duration = Duration::from_secs(120);

/// What was hit, over all users.
#[derive(Default)]
pub(crate) struct Tally {
    kills: u64,
    inner: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    killed: u64,
    /// Kills between the intent to create and its outcome: each costs the forty seconds of a lost reply.
    creating: u64,
    steps: BTreeMap<String, u64>,
    rotations: u64,
    taken_back: u64,
    requests: u64,
    refused: usize,
    late: u64,
    violations: u64,
}

impl Tally {
    pub(crate) fn new(kills: u64) -> Self {
        Self { kills, inner: Mutex::default() }
    }

    pub(crate) fn left(&self) -> u64 {
        self.kills - self.kills()
    }

    pub(crate) fn kills(&self) -> u64 {
        self.inner.lock().unwrap().killed
    }

    pub(crate) fn violations(&self) -> u64 {
        self.inner.lock().unwrap().violations
    }

    pub(crate) fn violated(&self) {
        self.inner.lock().unwrap().violations += 1;
    }

    pub(crate) fn rotated(&self, back: bool) {
        let mut counts = self.inner.lock().unwrap();
        counts.rotations += 1;
        counts.taken_back += u64::from(back);
    }

    pub(crate) fn served(&self, seen: &Seen) {
        let mut counts = self.inner.lock().unwrap();
        counts.requests += seen.requests;
        counts.refused += seen.refused.len();
        counts.late += seen.late;
    }

    /// Takes one kill, if there is one left. A creation is hit seldom, and early, for what it costs.
    fn take(&self, creating: bool) -> bool {
        let mut counts = self.inner.lock().unwrap();
        let early = counts.killed < self.kills / 2 && counts.creating < self.kills / 50;
        let yes = counts.killed < self.kills && (!creating || early);
        counts.killed += u64::from(yes);
        counts.creating += u64::from(yes && creating);
        yes
    }

    fn hit(&self, step: &str) {
        *self.inner.lock().unwrap().steps.entry(step.to_owned()).or_default() += 1;
    }

    /// How many kills hit which step.
    pub(crate) fn struck(&self) -> String {
        let counts = self.inner.lock().unwrap();
        counts.steps.iter().map(|(step, n)| format!("{step} {n}")).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn figures(&self) -> String {
        let c = self.inner.lock().unwrap();
        format!(
            "{} kills, {} rotations ({} of them taken back), {} client requests ({} refused, {} late)",
            c.killed, c.rotations, c.taken_back, c.requests, c.refused, c.late
        )
    }
}

/// Xorshift: the same seed strikes in the same way, as far as clocks allow.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64, user: u64) -> Self {
        Self((seed.wrapping_mul(64) + user + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Runs a command and kills it; gives back how it ended, if it ended by itself.
pub(crate) fn strike(
    world: &World,
    args: &[&str],
    chance: &mut Chance,
    tally: &Tally,
) -> Result<Option<Run>, Violation> {
    // Some kills come at any time, most directly after a record: between what is written and what is done.
    let records = chance.below(6) as usize;
    let patience = if journal_has(world, "create-unknown") { 12_000 } else { 3000 };
    let patience = if records == 0 { chance.below(patience) } else { 6000 };
    let pause = Duration::from_millis(chance.below(25));
    let goal = journal(world).len() + records;
    let mut child = world.spawn(args);
    let started = Instant::now();
    let due = || {
        let reached = records > 0 && journal(world).len() >= goal;
        reached || started.elapsed() >= Duration::from_millis(patience)
    };
    while child.try_wait().unwrap().is_none() {
        if tally.left() > 0 && due() {
            std::thread::sleep(pause);
            if child.try_wait().unwrap().is_none() && tally.take(creates(world)) {
                child.kill().unwrap();
                child.wait().unwrap();
                tally.hit(&place(world));
                return Ok(None);
            }
        }
        if started.elapsed() > RUN_MAX {
            child.kill().unwrap();
            return Err(("every run ends", format!("rotakey {args:?} ran for {RUN_MAX:?}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(Some(child.wait_with_output().unwrap().into()))
}

/// Kills `credential-process`: at any time, or while it replaces the ledger.
pub(crate) fn strike_serving(world: &World, chance: &mut Chance, tally: &Tally) {
    let writing = chance.below(2) == 0;
    let patience = Duration::from_millis(if writing { 1000 } else { chance.below(20) });
    let half_written = world.state().join("ledger.json.new");
    // Most answers are covered by what is on the disk: it takes some to meet one that has to write.
    for _ in 0..if writing { 50 } else { 1 } {
        let mut child = world.spawn(&["credential-process"]);
        let started = Instant::now();
        while child.try_wait().unwrap().is_none()
            && started.elapsed() < patience
            && !(writing && half_written.exists())
        {
            std::hint::spin_loop();
        }
        let place = if half_written.exists() { "writing the ledger" } else { "serving" };
        let alive = child.try_wait().unwrap().is_none();
        if alive && tally.take(false) {
            child.kill().unwrap();
            tally.hit(place);
        }
        child.wait().unwrap();
        if alive {
            return;
        }
    }
}

/// Whether the journal ends with the intent to create: nobody knows yet what came of it.
fn creates(world: &World) -> bool {
    journal(world).last().is_some_and(|line| line.contains("\"act\":\"create\""))
}

/// Where the rotation was when it was hit.
fn place(world: &World) -> String {
    let step = world.step().unwrap_or_else(|| "between rotations".to_owned());
    for (kind, way) in [("undo-begun", "undo"), ("abort-begun", "abort")] {
        if step != "between rotations" && journal_has(world, kind) {
            return way.to_owned();
        }
    }
    step
}

/// The whole lines of the journal.
fn journal(world: &World) -> Vec<String> {
    let bytes = std::fs::read(world.state().join("journal")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// Whether the latest rotation has a record of this kind, or of this act.
pub(crate) fn journal_has(world: &World, what: &str) -> bool {
    let lines = journal(world);
    let begun = lines.iter().rposition(|line| line.contains("\"kind\":\"begun\"")).unwrap_or(0);
    let (kind, act) = (format!("\"kind\":\"{what}\""), format!("\"act\":\"{what}\""));
    lines[begun..].iter().any(|line| line.contains(&kind) || line.contains(&act))
}

/// How many rotations the journal knows.
pub(crate) fn rotations(world: &World) -> usize {
    journal(world).iter().filter(|line| line.contains("\"kind\":\"begun\"")).count()
}
