//! Answers over HTTP: how many there are in a second, and how long they take, against a bare hyper server.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::http;
use crate::load::Target;
use crate::pairs::Pairs;
use crate::table::{Goal, Table};
use crate::world::{Agent, Error, Running, World, sibling};

/// How often each is measured, and for how long.
const PAIRS: usize = 5;
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
        let (_floor, address) = floor(&body)?;
        let bare = Target { address, ..target.clone() };
        for connections in [1, 8, 64] {
            compare(table, &format!("{source}, {connections} kept"), &target, &bare, connections)?;
        }
        let closing = |target: &Target| {
            let mut target = target.clone();
            target.headers.push("Connection: close".to_owned());
            target
        };
        let name = format!("{source}, one each of 8");
        compare(table, &name, &closing(&target), &closing(&bare), 8)?;
    }
    Ok(())
}

fn compare(
    table: &mut Table,
    name: &str,
    target: &Target,
    bare: &Target,
    connections: u32,
) -> Result<(), Error> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let rates = Pairs::measure(
        PAIRS,
        || {
            let round = target.round(connections, SECONDS)?;
            ours.push(round.p99_us);
            Ok::<_, Error>(round.per_second)
        },
        || {
            let round = bare.round(connections, SECONDS)?;
            theirs.push(round.p99_us);
            Ok(round.per_second)
        },
    )?;
    let mut tails = Pairs::default();
    for (contender, floor) in ours.into_iter().zip(theirs) {
        tails.push(contender, floor);
    }
    table.pairs(&format!("{name}: requests/s"), &rates, Goal::AtLeast(0.9));
    table.pairs(&format!("{name}: p99, us"), &tails, Goal::None);
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
