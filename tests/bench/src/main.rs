//! Measures rotakey against the least that could do the same: `make bench`. See docs/performance.md.
//!
//! It is no test: a machine with other work on it gives other figures. It fails only if something does not work.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table is what it makes")]
#![allow(
    clippy::disallowed_methods,
    reason = "it measures from outside, with files and clocks of its own"
)]

mod answers;
mod http;
mod load;
mod many;
mod memory;
mod pairs;
mod proxy;
mod scan;
mod signing;
mod startup;
mod swap;
mod table;
mod world;

use table::Table;
use world::Error;

type Part = fn(&mut Table) -> Result<(), Error>;

const PARTS: [(&str, Part); 8] = [
    ("answers", answers::measure),
    ("startup", startup::measure),
    ("memory", memory::measure),
    ("swap", swap::measure),
    ("many", many::measure),
    ("scan", scan::measure),
    ("signing", signing::measure),
    ("proxy", proxy::measure),
];

fn main() -> Result<(), Error> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|part| part.0 != **name)) {
        return Err(format!("there is no part {unknown}").into());
    }
    let mut table = Table::default();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            eprintln!("bench: {name}");
            measure(&mut table)?;
        }
    }
    print!("{table}");
    println!("bench: {} goals missed", table.missed());
    Ok(())
}
