//! A thousand profiles, each with its own key, in one agent, against one.

use std::fmt::Write as _;
use std::time::Instant;

use crate::answers::container;
use crate::load::Target;
use crate::pairs::Pairs;
use crate::table::{Goal, Table};
use crate::world::{Agent, Error, World};

const PROFILES: usize = 1000;
const PAIRS: usize = 5;

/// Measures the start, memory and answers.
pub(crate) fn measure(table: &mut Table) -> Result<(), Error> {
    let (alone, world) = (World::new(true)?, World::new(true)?);
    alone.add("p0", "")?;
    for number in 0..PROFILES {
        world.add(&format!("p{number}"), "")?;
    }
    let (one, first_one) = start(&alone, 1)?;
    let (many, first_many) = start(&world, PROFILES)?;
    table.value("1 profile: serving after, ms", one.start.as_secs_f64() * 1e3, Goal::None);
    let name = |what: &str| format!("{PROFILES} profiles: {what}");
    table.value(&name("serving after, ms"), many.start.as_secs_f64() * 1e3, Goal::None);
    table.value("1 profile: session there after, ms", first_one, Goal::None);
    table.value(&name("all sessions there after, ms"), first_many, Goal::None);
    let more =
        |line| Ok::<_, Error>((many.memory(line)? - one.memory(line)?) / (PROFILES - 1) as f64);
    table.value("RSS for each further profile, KiB", more("VmRSS")?, Goal::None);
    table.value(&name("RSS, MiB"), many.memory("VmRSS")? / 1024.0, Goal::None);
    let folder = tempfile::tempdir()?;
    let (of_one, of_many) = (
        any(&one, 1, &folder.path().join("one.lua"))?,
        any(&many, PROFILES, &folder.path().join("many.lua"))?,
    );
    let (mut tails_many, mut tails_one) = (Vec::new(), Vec::new());
    let rates = Pairs::measure(
        PAIRS,
        || {
            let round = of_many.round(8, 1)?;
            tails_many.push(round.p99_us);
            Ok::<_, Error>(round.per_second)
        },
        || {
            let round = of_one.round(8, 1)?;
            tails_one.push(round.p99_us);
            Ok(round.per_second)
        },
    )?;
    let mut tails = Pairs::default();
    tails_many.into_iter().zip(tails_one).for_each(|(many, one)| tails.push(many, one));
    table.pairs(&format!("{PROFILES} profiles against 1: requests/s"), &rates, Goal::AtLeast(0.9));
    table.pairs(&format!("{PROFILES} profiles against 1: p99, us"), &tails, Goal::None);
    Ok(())
}

/// Starts an agent, and says after how many milliseconds it had a session for each profile.
fn start(world: &World, profiles: usize) -> Result<(Agent, f64), Error> {
    let began = Instant::now();
    let agent = world.agent()?;
    let settled = agent.settled(began, profiles)?;
    Ok((agent, settled.as_secs_f64() * 1e3))
}

/// Asks for one profile after the other. The script is the same for one.
fn any(agent: &Agent, profiles: usize, script: &std::path::Path) -> Result<Target, Error> {
    let mut text = "local asked, at = {}, 0\n".to_owned();
    for number in 0..profiles {
        let name = format!("p{number}");
        let token = agent.token(&name)?;
        writeln!(
            text,
            "asked[{}] = wrk.format('GET', '/credentials/{name}', {{ ['Host'] = 'localhost', ['Authorization'] = '{token}' }})",
            number + 1
        )?;
    }
    text += "function request() at = at % #asked + 1; return asked[at] end\n";
    std::fs::write(script, text)?;
    Ok(Target { headers: Vec::new(), script: Some(script.to_owned()), ..container(agent, "p0")? })
}
