//! What must hold in every state, and what must be reachable, lest the model prove nothing.

use std::collections::BTreeSet;

use rotakey_core::credential::KeyStatus;
use rotakey_core::rotation::{Command, Ending, Finding, WaitingFor};
use stateright::{Model, Property};

use super::setting::{NAMES, Setting};
use super::state::{Action, State};
use crate::system::watch::INVARIANTS;

/// Two installations, an admin and programs on one user.
pub struct Users(pub Setting);

impl Model for Users {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(&self.0)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.actions(&self.0));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(state.after(action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            invariant::<0>(),
            invariant::<1>(),
            invariant::<2>(),
            invariant::<3>(),
            invariant::<4>(),
            invariant::<5>(),
            invariant::<6>(),
            invariant::<7>(),
            Property::always("ends", ends),
            Property::always("nothing-lost", nothing_lost),
            Property::always("no-orphan", no_orphan),
            Property::sometimes("blocked", |_, state| any(state, is_blocked)),
            Property::sometimes("stuck", |_, state| any(state, is_stuck)),
            Property::sometimes("held", |_, state| any(state, is_held)),
            Property::sometimes("finished", |_, state| any(state, is_finished)),
        ];
        if !self.0.tags_denied {
            properties.push(Property::always("one-at-a-time", one_at_a_time));
        }
        properties
    }
}

/// An invariant of the harness, which looks after every event. `converges`, the last, is for one alone.
fn invariant<const N: usize>() -> Property<Users> {
    Property::always(INVARIANTS[N].0, |_: &Users, state: &State| {
        !state.world.watch.violations.iter().any(|what| what.starts_with(INVARIANTS[N].0))
    })
}

/// Left alone, each installation is done, waits for a person, or is held by the other's programs.
fn ends(model: &Users, state: &State) -> bool {
    !is_quiet(model, state)
        || (0..NAMES.len()).all(|which| {
            !state.has_open(which) || {
                let install = &state.world.installs[which];
                is_held(state, which)
                    || matches!(install.ended, Some(Ending::Stuck(_) | Ending::Failed(_)))
            }
        })
}

/// Left alone, what each installation serves works, unless the admin has taken it away.
fn nothing_lost(model: &Users, state: &State) -> bool {
    let works = |which| {
        let mut world = state.world.clone();
        let served = world.ledger(which).access_key_id;
        let is_active = world.keys().contains(&(served.clone(), KeyStatus::Active));
        world.held(which).contains(&served) && (is_active || world.watch.meddled.contains(&served))
    };
    !is_quiet(model, state) || (0..NAMES.len()).all(works)
}

/// Left alone, each key that an installation made is in its journal, or it has asked a person about it.
fn no_orphan(model: &Users, state: &State) -> bool {
    if !is_quiet(model, state) {
        return true;
    }
    let world = &state.world;
    world.keys().iter().all(|(id, _)| {
        let Some(maker) = world.watch.made.get(id) else { return true };
        let status = state.status(*maker);
        let open = status.rotation.as_ref();
        let known: BTreeSet<_> = status
            .current
            .iter()
            .map(|key| &key.id)
            .chain(open.into_iter().flat_map(|open| open.ours()))
            .collect();
        known.contains(id) || open.is_some_and(|open| open.intent.is_some())
    })
}

/// While tags can be set and read, no two installations have made a key.
fn one_at_a_time(_: &Users, state: &State) -> bool {
    let makers: BTreeSet<_> = state.world.watch.made.values().collect();
    makers.len() < 2
}

fn any(state: &State, what: fn(&State, usize) -> bool) -> bool {
    (0..NAMES.len()).any(|which| what(state, which))
}

/// Whether it saw the other before it had begun.
fn is_blocked(state: &State, which: usize) -> bool {
    let other = |finding: &Finding| matches!(finding, Finding::SecondInstall(_));
    matches!(&state.world.installs[which].ended, Some(Ending::Blocked(findings)) if findings.iter().any(other))
}

/// Whether it saw the other in the middle of its own rotation.
fn is_stuck(state: &State, which: usize) -> bool {
    matches!(&state.world.installs[which].ended, Some(Ending::Stuck(why)) if why.contains("another installation"))
}

/// Whether a rotation was brought to its end.
fn is_finished(state: &State, which: usize) -> bool {
    state.world.installs[which].ended == Some(Ending::Finished)
}

/// Whether nothing happens any more unless something goes wrong.
fn is_quiet(model: &Users, state: &State) -> bool {
    state.world.watch.violations.is_empty() && state.course(&model.0).is_empty()
}

/// Whether a rotation waits for the other's programs to stop using the key.
fn is_held(state: &State, which: usize) -> bool {
    let process = state.world.installs[which].process.as_ref();
    process.is_some_and(|process| {
        matches!(process.command, Command::Wait { waiting_for: WaitingFor::Straggler(..), .. })
    })
}
