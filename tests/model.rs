//! Two installations and an admin on one user whose key both were handed: every interleaving, by enumeration.
//!
//! The states are the harness's worlds, and what leads from one to the next is the real engine, driver, journal,
//! ledger and simulator: the model cannot go stale. stateright goes through them.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(clippy::print_stdout, reason = "a test")]

#[path = "model/course.rs"]
mod course;
#[path = "model/properties.rs"]
mod properties;
#[path = "model/setting.rs"]
mod setting;
#[path = "model/state.rs"]
mod state;
mod system;

use std::collections::BTreeSet;

use properties::Users;
use setting::{Left, Pace, Setting};
use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// Longer than anything takes.
const NEVER: u64 = 10_000;

const NOTHING: Left = Left { crashes: 0, losses: 0, changes: 0 };
const ONE_OF_EACH: Left = Left { crashes: 1, losses: 1, changes: 1 };

/// What is proved. IAM lets a third key pass, as it may when two are made at once.
const SETTINGS: [Setting; 5] = [
    Setting {
        name: "both have said that they are there",
        tagged: [true, true],
        tags_denied: false,
        quota: 3,
        lag_hours: NEVER,
        pace: Pace::Any,
        left: ONE_OF_EACH,
    },
    Setting {
        name: "one has, and IAM shows no use",
        tagged: [true, false],
        tags_denied: false,
        quota: 3,
        lag_hours: NEVER,
        pace: Pace::Prompt,
        left: Left { changes: 0, ..ONE_OF_EACH },
    },
    Setting {
        name: "neither has, and IAM shows no use",
        tagged: [false, false],
        tags_denied: false,
        quota: 3,
        lag_hours: NEVER,
        pace: Pace::Prompt,
        left: ONE_OF_EACH,
    },
    Setting {
        name: "tags are denied, IAM shows each use after three hours",
        left: NOTHING,
        ..LATE
    },
    Setting { name: "the same, and nobody is slow", pace: Pace::Prompt, ..LATE },
];

/// Only its uses speak for another installation.
const LATE: Setting = Setting { lag_hours: 3, left: Left { crashes: 1, ..NOTHING }, ..DENIED };

/// Where two installations that cannot see each other do hurt each other.
const DENIED: Setting = Setting {
    name: "tags are denied, and IAM shows no use",
    tagged: [false, false],
    tags_denied: true,
    quota: 3,
    lag_hours: NEVER,
    pace: Pace::Any,
    left: NOTHING,
};

#[test]
fn no_installation_hurts_another() {
    let (mut states, mut violations) = (0, 0);
    let (mut names, mut reached) = (BTreeSet::new(), BTreeSet::new());
    for setting in SETTINGS {
        let checker = Users(setting).checker().threads(2).spawn_dfs().join();
        states += checker.unique_state_count();
        println!("{}: {} states", setting.name, checker.unique_state_count());
        let found = checker.discoveries();
        for property in checker.model().properties() {
            names.insert(property.name);
            match (property.expectation, found.contains_key(property.name)) {
                (Expectation::Sometimes, true) => drop(reached.insert(property.name)),
                (Expectation::Sometimes, false) => {}
                (_, found) => {
                    reached.insert(property.name);
                    violations += usize::from(found);
                }
            }
        }
        if violations > 0 {
            print_shortest(setting);
            break;
        }
    }
    let is_through = violations == 0;
    for name in names.difference(&reached).filter(|_| is_through) {
        println!("never {name}: the model proves nothing of it");
        violations += 1;
    }
    println!("model: {states} states, {} properties, {violations} violations", names.len());
    assert_eq!(violations, 0);
}

/// The shortest way to each violation that is met first.
fn print_shortest(setting: Setting) {
    let model = Users(setting).checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = model.spawn_bfs().join();
    for (name, path) in checker.discoveries() {
        if checker.model().property(name).expectation == Expectation::Sometimes {
            continue;
        }
        let steps = path.into_vec();
        println!("  {name}, after {} actions:", steps.len() - 1);
        for (state, action) in steps {
            println!("    {}", state.describe(action.as_ref()));
        }
    }
}

/// The properties that do not hold.
fn broken(setting: Setting) -> BTreeSet<&'static str> {
    let model = Users(setting).checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = model.spawn_dfs().join();
    let properties = checker.model().properties().into_iter();
    let must = properties.filter(|property| property.expectation != Expectation::Sometimes);
    let found = checker.discoveries();
    must.map(|property| property.name).filter(|name| found.contains_key(name)).collect()
}

/// A limit, docs/rotation.md: where tags are denied, only its uses speak for another installation, and IAM shows
/// them late.
#[test]
fn where_tags_are_denied_and_uses_do_not_show_another_installation_is_not_noticed() {
    assert!(broken(DENIED).contains("others-key-served"));
}

/// A limit, docs/rotation.md: where tags are denied, a key that another installation makes while a lost creation
/// was under way looks like an orphan, and is fenced.
#[test]
fn where_tags_are_denied_another_installations_new_key_may_be_fenced_as_an_orphan() {
    let lost = Left { losses: 1, ..NOTHING };
    let setting = Setting { lag_hours: 0, left: lost, ..DENIED };
    assert!(broken(setting).contains("only-ours"));
}
