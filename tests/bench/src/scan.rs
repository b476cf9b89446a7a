//! `scan` against ripgrep, on the same trees, both with the files in the page cache.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::pairs::Pairs;
use crate::table::{Goal, Table};
use crate::world::{Error, World};

const PAIRS: usize = 15;

/// An id that stands in one file of each tree.
const ID: &str = "AKIAIOSFODNN7EXAMPLE";

/// Measures it on many small files, and on a few long ones.
pub(crate) fn measure(table: &mut Table) -> Result<(), Error> {
    let trees = tempfile::tempdir()?;
    let text = text(64 * 1024);
    let small = trees.path().join("small");
    for number in 0..30_000 {
        let folder = small.join(format!("{}/{}", number / 1000, number / 50 % 20));
        std::fs::create_dir_all(&folder)?;
        // From 1 to 8 KiB, as sources are.
        let length = 1024 + number * 7919 % 7168;
        std::fs::write(folder.join(format!("{number}.txt")), &text[..length])?;
    }
    let long = trees.path().join("long");
    std::fs::create_dir_all(&long)?;
    for number in 0..8 {
        std::fs::write(long.join(format!("{number}.log")), text.repeat(1024))?;
    }
    for (name, tree, mib) in [
        ("30,000 small files", &small, 30_000.0 * 4.5 / 1024.0),
        ("8 files of 64 MiB", &long, 512.0),
    ] {
        std::fs::write(tree.join("found"), ID)?;
        let world = World::new(true)?;
        let mut ours = world.rotakey(&["scan", "--access-key-id", ID])?;
        ours.arg(tree);
        let mut ripgrep = Command::new("rg");
        // Hidden files and ignored ones, too; a fixed text; which line.
        ripgrep.env_clear().env("PATH", "/usr/bin:/bin").args(["-uu", "-F", "-n", ID]).arg(tree);
        let pairs = Pairs::measure(
            PAIRS,
            || rate(&mut ours, 1, tree, mib),
            || rate(&mut ripgrep, 0, tree, mib),
        )?;
        table.pairs(&format!("scan of {name}: MiB/s against ripgrep"), &pairs, Goal::AtLeast(0.5));
    }
    Ok(())
}

/// Runs it, and says how many MiB a second that was. It must have found the one copy.
fn rate(command: &mut Command, code: i32, tree: &Path, mib: f64) -> Result<f64, Error> {
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let output = command.output()?;
    let took = began.elapsed();
    let found = String::from_utf8_lossy(&output.stdout);
    let place = tree.join("found");
    if output.status.code() != Some(code) || !found.contains(&format!("{}:1", place.display())) {
        return Err(format!("{command:?}: {} {found}", output.status).into());
    }
    Ok(mib / took.as_secs_f64())
}

/// Lines of made-up source text, always the same.
fn text(length: usize) -> String {
    const WORDS: [&str; 12] = [
        "let",
        "state",
        "=",
        "self.profile",
        "Access",
        "key",
        "AKI",
        "return",
        "if",
        "(ok)",
        "//",
        "AKIDs",
    ];
    let mut text = String::with_capacity(length + 80);
    let mut seed = 1u32;
    while text.len() < length {
        for _ in 0..9 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let _ = write!(text, "{} ", WORDS[(seed >> 20) as usize % WORDS.len()]);
        }
        text.push('\n');
    }
    text.truncate(length);
    text
}
