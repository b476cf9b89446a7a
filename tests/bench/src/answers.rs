//! Answers over HTTP: how many there are in a second, and how long they take, against a bare hyper server.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::http;
use crate::load::Target;
use crate::pairs::Pairs;
use crate::table::{Goal, Table};
use crate::world::{Agent, Error, Running, World, cpu_us, sibling};

/// How often each is measured, and for how long.
const PAIRS: usize = 6;
const SECONDS: u32 = 1;

/// Measures both sources.
pub(crate) fn measure(table: &mut Table) -> Result<(), Error> {
    let world = World::new(false)?;
    world.add("app", "imds = true\n")?;
    let agent = world.agent()?;
    agent.settled(std::time::Instant::now(), 1)?;
    for (source, target) in
        [("container", container(&agent, "app")?), ("imds", imds(&agent, "app")?)]
    {
        let headers: String = target.headers.iter().map(|header| format!("{header}\r\n")).collect();
        let body = http::get(&target.address, &target.path, &headers)?;
        let (process, address) = floor(&body)?;
        let bare = Target { address, ..target.clone() };
        let pids = (agent.pid(), process.pid());
        for connections in [1, 8, 64] {
            let name = format!("{source}, {connections} kept");
            compare(table, &name, (&target, &bare), pids, connections)?;
        }
        let closing = |target: &Target| {
            let mut target = target.clone();
            target.headers.push("Connection: close".to_owned());
            target
        };
        let (target, bare) = (closing(&target), closing(&bare));
        compare(table, &format!("{source}, one each of 8"), (&target, &bare), pids, 8)?;
    }
    Ok(())
}

/// Rates depend on what else the machine does; the processor's time for an answer hardly does.
fn compare(
    table: &mut Table,
    name: &str,
    (target, bare): (&Target, &Target),
    (pid, bare_pid): (u32, u32),
    connections: u32,
) -> Result<(), Error> {
    let (ours, theirs) = (RefCell::default(), RefCell::default());
    let round = |target: &Target, pid, seen: &RefCell<Vec<(f64, f64)>>| {
        let before = cpu_us(pid)?;
        let round = target.round(connections, SECONDS)?;
        let cpu = (cpu_us(pid)? - before) / round.requests;
        seen.borrow_mut().push((round.p99_us, cpu));
        Ok::<_, Error>(round.per_second)
    };
    let rates =
        Pairs::measure(PAIRS, || round(target, pid, &ours), || round(bare, bare_pid, &theirs))?;
    let (mut tails, mut cpu) = (Pairs::default(), Pairs::default());
    for (contender, floor) in ours.into_inner().into_iter().zip(theirs.into_inner()) {
        tails.push(contender.0, floor.0);
        cpu.push(contender.1, floor.1);
    }
    table.pairs(&format!("{name}: requests/s"), &rates, Goal::AtLeast(0.9));
    table.pairs(&format!("{name}: p99, us"), &tails, Goal::None);
    table.pairs(&format!("{name}: CPU for an answer, us"), &cpu, Goal::None);
    Ok(())
}

/// The container endpoint of a profile.
pub(crate) fn container(agent: &Agent, profile: &str) -> Result<Target, Error> {
    Ok(Target {
        address: agent.address.clone(),
        path: format!("/credentials/{profile}"),
        headers: vec![format!("Authorization: {}", agent.token(profile)?)],
        script: None,
    })
}

fn imds(agent: &Agent, profile: &str) -> Result<Target, Error> {
    let stream = std::net::TcpStream::connect(&agent.address)?;
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n";
    let token = String::from_utf8(http::ask(stream, "PUT /latest/api/token", ttl, "")?)?;
    Ok(Target {
        address: agent.address.clone(),
        path: format!("/latest/meta-data/iam/security-credentials/{profile}"),
        headers: vec![format!("X-aws-ec2-metadata-token: {token}")],
        script: None,
    })
}

/// A bare hyper server, and its address.
fn floor(body: &[u8]) -> Result<(Running, String), Error> {
    let mut child = Command::new(sibling("rotakey-bench-http")?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let running = Running::new(child);
    stdin.ok_or("no input")?.write_all(body)?;
    let mut port = String::new();
    BufReader::new(stdout.ok_or("no output")?).read_line(&mut port)?;
    Ok((running, format!("127.0.0.1:{}", port.trim())))
}
