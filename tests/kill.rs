//! The real binary under SIGKILL, again and again, while real clients are served; and always picked up.
//!
//! `ROTAKEY_KILLS` says how many kills (default 50), `ROTAKEY_KILL_SEED` where chance begins (default 1). A
//! rotation mostly waits, so that several users are rotated side by side. Some rotations are undone, some
//! given up, some meet a stranger's key; and `credential-process` is killed as well.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "kill/client.rs"]
mod client;
#[path = "kill/invariants.rs"]
mod invariants;
#[path = "kill/strike.rs"]
mod strike;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use client::Client;
use invariants::{Violation, Watch};
use serde_json::json;
use strike::{Chance, Tally, journal_has, rotations, strike, strike_serving};
use support::{Run, World};

/// How many users are rotated side by side.
const USERS: u64 = 4;

/// What is to become of one rotation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    Through,
    Undone,
    GivenUp,
}

#[test]
fn a_killed_rotation_is_picked_up() {
    let setting = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let kills = setting("ROTAKEY_KILLS", 50);
    let seed = setting("ROTAKEY_KILL_SEED", 1);
    println!("kill: {kills} kills, seed {seed}: the same again with ROTAKEY_KILL_SEED={seed}");
    let tally = Tally::new(kills);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for user in 0..USERS {
            let tally = &tally;
            scope.spawn(move || {
                let world = World::new();
                world.lighten_keys();
                world.add();
                world.configure(
                    &world.quick_profile("").replace("lease = \"1s\"", "lease = \"2s\""),
                );
                let mut life = Life {
                    watch: Watch::begin(&world),
                    client: Client::start(&world),
                    chance: Chance::new(seed, user),
                    tally,
                    world,
                };
                // A command that must work and does not is a panic in the support code.
                let lived = catch_unwind(AssertUnwindSafe(|| life.lived()));
                let lived = lived.unwrap_or_else(|_| Err(("every command works", String::new())));
                if let Err((name, seen)) = lived {
                    let history = life.world.rotakey(&["history"]).stdout;
                    println!(
                        "VIOLATED: {name}: {seen}\nseed {seed}, user {user}, history:\n{history}"
                    );
                    tally.violated();
                }
                tally.served(&life.client.seen());
            });
        }
    });
    println!("struck in {} s: {}", started.elapsed().as_secs(), tally.struck());
    println!("kill: {}, seed {seed}, {} violations", tally.figures(), tally.violations());
    assert_eq!(tally.violations(), 0);
    assert_eq!(tally.kills(), kills);
}

/// One user, rotated for as long as there are kills left.
struct Life<'a> {
    world: World,
    client: Client,
    watch: Watch,
    chance: Chance,
    tally: &'a Tally,
}

impl Life<'_> {
    fn lived(&mut self) -> Result<(), Violation> {
        while self.tally.left() > 0 {
            let course = match self.chance.below(6) {
                0 | 1 => Course::Undone,
                2 => Course::GivenUp,
                _ => Course::Through,
            };
            if self.chance.below(4) == 0 {
                self.meets_a_stranger()?;
            }
            self.rotated(course)?;
        }
        Ok(())
    }

    /// One rotation, from its beginning to its end.
    fn rotated(&mut self, mut course: Course) -> Result<(), Violation> {
        let before = Watch::converged(&self.world, &self.client)?;
        let earlier = rotations(&self.world);
        while rotations(&self.world) == earlier || self.world.step().is_some() {
            let args = self.next(course);
            let ended = strike(&self.world, args, &mut self.chance, self.tally)?;
            self.watch.check(&self.world, &self.client)?;
            if let Some(run) = ended {
                let over = run.code == 2 && matches!(args, ["undo" | "abort"]);
                let undone = run.code == 1 && run.stderr.contains("undone: a person asked for it");
                if over {
                    // The rotation had gone on past where they apply.
                    course = Course::Through;
                } else if !undone {
                    ends_with(0, &run, args)?;
                }
            }
            if self.chance.below(3) == 0 {
                strike_serving(&self.world, &mut self.chance, self.tally);
                self.watch.check(&self.world, &self.client)?;
            }
        }
        let after = Watch::converged(&self.world, &self.client)?;
        let back =
            journal_has(&self.world, "undo-begun") || journal_has(&self.world, "abort-begun");
        if back == (after != before) {
            return Err(("the rotation ends as asked", format!("{before}, then {after}")));
        }
        self.tally.rotated(back);
        Ok(())
    }

    /// The command that a person would give now.
    fn next(&self, course: Course) -> &'static [&'static str] {
        let Some(step) = self.world.step() else {
            return &["rotate", "--wait", "deleted"];
        };
        let published = journal_has(&self.world, "publish");
        match course {
            Course::GivenUp if !published => &["abort"],
            Course::Undone if published && step != "delete" && !self.undone_and_back() => &["undo"],
            Course::Undone if !published => &["resume", "--wait", "published"],
            _ => &["resume", "--wait", "deleted"],
        }
    }

    /// Whether an undo was begun and its old key is published: the rest is `resume`'s.
    fn undone_and_back(&self) -> bool {
        let status = self.world.status();
        journal_has(&self.world, "undo-begun")
            && !matches!(status["rotation"]["step"].as_str(), Some("verify" | "publish"))
    }

    /// A stranger's key fills the quota: nothing is begun, and that key is not touched.
    fn meets_a_stranger(&mut self) -> Result<(), Violation> {
        let key = self.world.control(json!({"op": "create-key", "user": "app"}));
        let id = key["access_key_id"].as_str().unwrap();
        let args = &["rotate", "--wait", "deleted"];
        let ended = strike(&self.world, args, &mut self.chance, self.tally)?;
        self.watch.check(&self.world, &self.client)?;
        if let Some(run) = ended {
            ends_with(3, &run, args)?;
        }
        let keys = self.world.keys();
        if !keys.contains(&(id.to_owned(), "Active".to_owned())) {
            return Err(("only ours are touched", format!("{id} is not in {keys:?}")));
        }
        self.world.control(json!({"op": "delete-key", "access_key_id": id}));
        Ok(())
    }
}

fn ends_with(code: i32, run: &Run, args: &[&str]) -> Result<(), Violation> {
    if run.code == code {
        return Ok(());
    }
    Err(("what was killed is picked up", format!("rotakey {args:?}: {run:?}")))
}
