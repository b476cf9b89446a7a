//! The agent's memory: idle, and after a hundred thousand answers.

use std::time::{Duration, Instant};

use crate::answers::container;
use crate::table::{Goal, Table};
use crate::world::{Agent, Error, World};

const REQUESTS: f64 = 100_000.0;

/// The goal for an idle agent, in MiB.
const IDLE_MIB: f64 = 15.0;

/// Measures an agent with one profile, whose key is in a key file with the key derivation that it has.
pub(crate) fn measure(table: &mut Table) -> Result<(), Error> {
    let world = World::new(false)?;
    world.add("app", "")?;
    let agent = world.agent()?;
    agent.settled(Instant::now(), 1)?;
    std::thread::sleep(Duration::from_secs(1));
    report(table, "idle", &agent, Goal::AtMost(IDLE_MIB))?;
    let (target, mut sent) = (container(&agent, "app")?, 0.0);
    while sent < REQUESTS {
        sent += target.round(64, 2)?.requests;
    }
    report(table, &format!("after {sent} answers"), &agent, Goal::None)
}

fn report(table: &mut Table, when: &str, agent: &Agent, goal: Goal) -> Result<(), Error> {
    let mib = |line| agent.memory(line).map(|kib| kib / 1024.0);
    table.value(&format!("agent, {when}: RSS, MiB"), mib("VmRSS")?, goal);
    table.value(&format!("agent, {when}: RssAnon, MiB"), mib("RssAnon")?, Goal::None);
    Ok(())
}
