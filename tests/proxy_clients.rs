//! Real clients through the re-signing proxy: each with each thing that people do with it, to a server that checks every
//! signature, and every chunk's. What does not work is tried without the proxy, too.
//!
//! `ROTAKEY_CLIENTS=full` (`make clients`) runs them all; `make test` a short list, `ROTAKEY_CLIENTS=rust,minio` these two.
//! docs/proxy-clients.md is made here.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::zombie_processes,
    reason = "a test"
)]

#[path = "proxy_clients/client.rs"]
mod client;
#[path = "proxy_clients/document.rs"]
mod document;
#[path = "proxy_clients/judge.rs"]
mod judge;
#[path = "proxy_clients/matrix.rs"]
mod matrix;
#[path = "proxy_clients/place.rs"]
mod place;
mod support;
#[path = "proxy_clients/upstream.rs"]
mod upstream;

use client::{Client, Way};
use matrix::Row;

/// Which clients run.
fn list() -> String {
    std::env::var("ROTAKEY_CLIENTS").unwrap_or_default()
}

fn is_wanted(client: &Client, way: Way) -> bool {
    match list().as_str() {
        "full" => true,
        // A process for each request is slow, and by CONNECT the AWS CLI is what boto3 is.
        "" => client.is_short && (client.id != "awscli1" || way == Way::Endpoint),
        some => some.split(',').any(|id| id == client.id),
    }
}

#[test]
fn clients_do_through_the_proxy_what_they_do_without_it() {
    let pairs = Client::ALL.into_iter().flat_map(|client| Way::ALL.map(|way| (client, way)));
    let runs: Vec<_> = pairs.filter(|(client, way)| is_wanted(client, *way)).collect();
    let rows: Vec<Row> = matrix::run(&runs);
    let (mut works, mut limits) = (0, 0);
    for cell in rows.iter().flat_map(|row| &row.cells) {
        *if cell.limit.is_none() { &mut works } else { &mut limits } += 1;
    }
    let wrong: Vec<&String> = rows.iter().flat_map(|row| &row.wrong).collect();
    println!(
        "proxy_clients: {} pairs of client and way, {works} things that work, {limits} that do not and say why, {} that are not as \
         written down",
        rows.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    document::check(&rows, list() == "full");
}

/// The other side of the server's check: it lets in what botocore signs, and nothing that was changed after that.
#[test]
fn the_server_behind_the_proxy_refuses_what_is_not_signed_rightly() {
    let script = place::root().join("tests/proxy_clients/refuses.py");
    let output = std::process::Command::new(place::python()).arg("-B").arg(script).output();
    let output = output.expect("python starts");
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}
