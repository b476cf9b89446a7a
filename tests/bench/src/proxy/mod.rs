//! The re-signing proxy against nginx, a bare hyper proxy and whoever else signs, all in one run, in turn.
//!
//! The load is wrk's, a process of its own, with requests that were signed before. The sink is another.

mod contenders;
mod requests;

use self::contenders::Contender;
use self::requests::{Mode, Signer};
use crate::load::Target;
use crate::pairs::Pairs;
use crate::table::{Goal, Table};
use crate::world::Error;

/// How often each is measured, and for how long.
const ROUNDS: usize = 9;
const SECONDS: u32 = 1;
const CONNECTIONS: u32 = 8;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One kind of request.
struct Load {
    name: &'static str,
    mode: Mode,
    /// Of the body.
    bytes: usize,
    connections: u32,
    /// For rates: against nginx, the bare proxy, and the bare one that hashes.
    goals: [Goal; 3],
}

/// What is sent.
const LOADS: [Load; 9] = {
    use Goal::{AtLeast, None};
    const fn load(name: &'static str, mode: Mode, bytes: usize, goals: [Goal; 3]) -> Load {
        Load { name, mode, bytes, connections: CONNECTIONS, goals }
    }
    let get = load("GET of 200 B", Mode::Get, 0, [AtLeast(0.7), AtLeast(0.85), None]);
    [
        Load { name: "GET of 200 B, 64 kept", connections: 64, goals: [None; 3], ..get },
        get,
        load("PUT 64 KiB, hash", Mode::Hash, 64 * KIB, [None; 3]),
        load("PUT 64 KiB, unsigned trailer", Mode::UnsignedTrailer, 64 * KIB, [None; 3]),
        load("PUT 64 KiB, signed chunks", Mode::SignedChunks, 64 * KIB, [None; 3]),
        load("PUT 1 MiB, hash", Mode::Hash, MIB, [None, AtLeast(0.9), None]),
        load("PUT 1 MiB, unsigned", Mode::Unsigned, MIB, [None, AtLeast(0.9), None]),
        load("PUT 1 MiB, unsigned trailer", Mode::UnsignedTrailer, MIB, [None; 3]),
        load("PUT 1 MiB, signed chunks", Mode::SignedChunks, MIB, [None, None, AtLeast(0.8)]),
    ]
};

/// What one round gave.
#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    p99_us: f64,
    cpu_us: f64,
}

/// Measures all loads through all contenders.
pub(crate) fn measure(table: &mut Table) -> Result<(), Error> {
    let sink = contenders::sink()?;
    let (rotakey, signer) = contenders::rotakey(&sink.address)?;
    let mut all = vec![rotakey, contenders::nginx(&sink.address)?];
    all.push(contenders::bare(&sink.address, false)?);
    all.push(contenders::bare(&sink.address, true)?);
    match contenders::s3s(&sink.address, &signer)? {
        Some(peer) => all.push(peer),
        None => table.note("proxy: s3s-proxy is not there: make bench-peers installs it"),
    }
    all.push(sink);
    let folder = tempfile::tempdir()?;
    let only = std::env::var("ROTAKEY_BENCH_LOAD").unwrap_or_default();
    for load in LOADS.iter().filter(|load| load.name.contains(&only)) {
        eprintln!("bench: proxy: {}", load.name);
        let figures = rounds(&all, (&signer, folder.path()), load)?;
        report(table, load, &all, &figures);
    }
    for contender in all.iter().filter(|contender| !contender.pids.is_empty()) {
        let name = format!("proxy, {}: RSS after the loads, MiB", contender.name);
        table.value(&name, contender.memory_mib("VmRSS")?, Goal::None);
    }
    Ok(())
}

/// Rounds of all, by contender. Who is first changes from round to round.
fn rounds(
    all: &[Contender],
    (signer, folder): (&Signer, &std::path::Path),
    load: &Load,
) -> Result<Vec<Vec<Figures>>, Error> {
    let mut figures = vec![Vec::with_capacity(ROUNDS); all.len()];
    let hashes = matches!(load.mode, Mode::Hash | Mode::SignedChunks);
    for round in 0..ROUNDS {
        for place in 0..all.len() {
            let place = (place + round) % all.len();
            let contender = &all[place];
            if contender.name == "bare, hashing" && !hashes {
                continue;
            }
            let target = Target {
                address: contender.address.clone(),
                path: String::new(),
                headers: Vec::new(),
                script: Some(signer.script(folder, load.mode, load.bytes)?),
            };
            let before = contender.cpu_us()?;
            let seen = target.round(load.connections, SECONDS);
            let seen = seen.map_err(|error| format!("{}: {error}", contender.name))?;
            let cpu_us = (contender.cpu_us()? - before) / seen.requests;
            let (per_second, p99_us) = (seen.per_second, seen.p99_us);
            figures[place].push(Figures { per_second, p99_us, cpu_us });
        }
    }
    Ok(figures)
}

fn report(table: &mut Table, load: &Load, all: &[Contender], figures: &[Vec<Figures>]) {
    let ours = &figures[0];
    for (contender, theirs) in all.iter().zip(figures).skip(1).filter(|one| !one.1.is_empty()) {
        let pairs = |of: fn(&Figures) -> f64| {
            let mut pairs = Pairs::default();
            ours.iter().zip(theirs).for_each(|(ours, theirs)| pairs.push(of(ours), of(theirs)));
            pairs
        };
        let goal = match contender.name {
            "nginx" => load.goals[0],
            "bare" => load.goals[1],
            "bare, hashing" => load.goals[2],
            _ => Goal::None,
        };
        let name = format!("{}, against {}", load.name, contender.name);
        table.pairs(&format!("{name}: requests/s"), &pairs(|one| one.per_second), goal);
        if !contender.pids.is_empty() {
            table.pairs(&format!("{name}: p99, us"), &pairs(|one| one.p99_us), Goal::None);
            table.pairs(&format!("{name}: CPU each, us"), &pairs(|one| one.cpu_us), Goal::None);
        }
    }
}
