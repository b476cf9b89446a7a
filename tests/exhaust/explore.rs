//! Goes everywhere from a set of points: at each state that was not seen yet, every blow that may still come.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::rc::Rc;

use rotakey_core::rotation::{Command, Goal};

use crate::system::World;
use crate::system::blows::{Blow, blows, troubles};
use crate::system::machine::PowerCut;

/// No rotation needs more processes after the last blow.
const RESTARTS_MAX: u32 = 8;

/// A point on a way through the states.
#[derive(Clone)]
pub struct Point {
    pub world: World,
    /// What is wanted once a process is to be started.
    goal: Goal,
    /// How many blows may still come.
    left: u8,
    restarts: u32,
    trail: Option<Rc<Trail>>,
}

/// The blows on the way to a point, the last one first.
struct Trail {
    blow: String,
    before: Option<Rc<Trail>>,
}

/// What was gone through, and what was found.
#[derive(Default)]
pub struct Tally {
    /// Different states.
    pub states: usize,
    /// Blows, each followed to the end.
    pub cases: usize,
    /// Each violation, with the ways that lead to it.
    pub violations: BTreeMap<String, Vec<String>>,
}

/// Goes everywhere from here.
pub fn explore(mut points: Vec<Point>) -> Tally {
    let mut tally = Tally::default();
    let mut seen = HashSet::new();
    while let Some(mut point) = points.pop() {
        if !point.world.watch.violations.is_empty() {
            for violation in std::mem::take(&mut point.world.watch.violations) {
                tally.violations.entry(violation).or_default().push(point.path());
            }
            continue;
        }
        if !seen.insert(point.digest()) {
            continue;
        }
        tally.states += 1;
        if point.world.installs[0].process.is_some() {
            strike(&point, &mut points, &mut tally);
            go_on(&mut point.world);
            push(point, &mut points);
        } else {
            begin(point, &mut points, &mut tally);
        }
    }
    tally
}

/// Every blow at the command that comes next.
fn strike(point: &Point, points: &mut Vec<Point>, tally: &mut Tally) {
    if point.left == 0 {
        return;
    }
    let Some(process) = &point.world.installs[0].process else { return };
    for blow in blows(&point.world, 0) {
        let mut struck = point.after(blow, &format!("{:?}", process.command));
        struck.world.step(0, Some(blow));
        if let Command::Publish { .. } = process.command {
            struck.world.a_new_program_signs(0);
        }
        tally.cases += 1;
        push(struck, points);
    }
}

/// No process runs: the end, or the next one.
fn begin(mut point: Point, points: &mut Vec<Point>, tally: &mut Tally) {
    let status = point.world.status(0);
    let goal = match (&status.rotation, point.restarts) {
        (_, 0) => point.goal.clone(),
        (Some(_), _) => Goal::Resume,
        (None, _) => {
            point.world.settled(0);
            if !point.world.watch.violations.is_empty() {
                points.push(point);
            }
            return;
        }
    };
    point.restarts += 1;
    if point.restarts > RESTARTS_MAX {
        let open = format!("still open after {RESTARTS_MAX} processes: {:?}", status.rotation);
        point.world.watch.violation("converges", open);
        points.push(point);
        return;
    }
    let mut started = point.clone();
    started.world.start(0, goal.clone(), None);
    if point.left > 0 {
        for blow in troubles(&started.world.installs[0].machine.operations) {
            let Blow::Trouble(number, trouble) = blow else { continue };
            let mut struck = point.after(blow, "the start of a process");
            struck.world.start(0, goal.clone(), Some((number, trouble)));
            tally.cases += 1;
            push(struck, points);
        }
    }
    push(started, points);
}

/// Goes on from a point; where no process runs, also with a power cut in between, if that makes a difference.
fn push(mut point: Point, points: &mut Vec<Point>) {
    let machine = &point.world.installs[0].machine;
    if point.world.installs[0].process.is_none() {
        if machine.has_unsynced() {
            let mut cut = point.clone();
            cut.world.power_cut(0, PowerCut::Lost);
            points.push(cut);
        }
        if machine.is_dead {
            point.world.power_cut(0, PowerCut::Kept);
        }
    }
    points.push(point);
}

/// The next command. Programs take their credential and use it whenever time passes, and directly after a key
/// was published.
pub fn go_on(world: &mut World) {
    let Some(process) = &world.installs[0].process else { return };
    let command = process.command.clone();
    if let Command::Wait { .. } = command {
        world.a_new_program_signs(0);
    }
    world.step(0, None);
    if let Command::Publish { .. } = command {
        world.a_new_program_signs(0);
    }
}

impl Point {
    /// No process runs yet; `left` blows may come.
    pub fn new(world: World, goal: Goal, left: u8) -> Self {
        Self { world, goal, left, restarts: 0, trail: None }
    }

    fn after(&self, blow: Blow, at: &str) -> Self {
        let text = format!("{} at {at}", blow.name());
        let trail = Trail { blow: text, before: self.trail.clone() };
        let (left, restarts) = (self.left - 1, self.restarts.min(1));
        Self { left, restarts, trail: Some(Rc::new(trail)), ..self.clone() }
    }

    /// Everything that decides what may follow.
    fn digest(&self) -> (u64, u64) {
        let install = &self.world.installs[0];
        let mut text = format!("{} {} {:?}", self.left, self.restarts, self.goal);
        let mut more = |part: &dyn Debug| write!(text, "\n{part:?}").expect("memory");
        more(&self.world.now);
        more(&self.world.iam);
        more(&self.world.watch);
        let ledger = install.machine.files.get(Path::new("/state/app/ledger.json"));
        more(&ledger.map(|file| &file.now));
        more(&install.machine.secrets.keys());
        more(&install.machine.has_unsynced());
        match &install.process {
            Some(process) => more(&process.rotation),
            None => more(&self.world.clone().status(0)),
        }
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, &text).hash(&mut hasher);
            hasher.finish()
        };
        (half(0), half(1))
    }

    fn path(&self) -> String {
        let mut blows = Vec::new();
        let mut trail = self.trail.as_deref();
        while let Some(Trail { blow, before }) = trail {
            blows.push(blow.clone());
            trail = before.as_deref();
        }
        blows.reverse();
        blows.join("; then ")
    }
}
