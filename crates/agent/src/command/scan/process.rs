//! Copies in the environments and arguments of this user's processes, as these were started with.

use super::finder::{Finder, holds_secret};
use crate::proc::{self, Program};

/// A copy in a process.
#[derive(Clone, Debug)]
pub(super) struct InProcess {
    pub(super) wanted: usize,
    pub(super) program: Program,
    /// The variable that holds it.
    pub(super) variable: Option<String>,
    /// Or which argument does, counted from 0, the program's name.
    pub(super) argument: Option<usize>,
    /// The variable that seems to hold a secret, if one does.
    pub(super) secret: Option<String>,
}

/// The copies, how many processes were looked at, and how many would not let us.
///
/// The ids that were `named` to this command stand in the arguments of those that ran it, too (`sudo`, `sh -c`, `make`):
/// that is the question, and no copy.
pub(super) fn all(finder: &Finder, named: &[String]) -> (Vec<InProcess>, usize, usize) {
    let (mut found, mut seen) = (Vec::new(), 0);
    let asked_by = proc::ancestors(std::process::id());
    let is_named = |wanted: usize| named.contains(&finder.wanted[wanted].id);
    let unreadable = proc::own_processes(|started| {
        if started.program.pid == std::process::id() {
            return;
        }
        seen += 1;
        let variables = started.environ.split(|c| *c == 0);
        let secret = || {
            let mut named = variables.clone().filter(|variable| holds_secret(variable));
            named.next().and_then(name)
        };
        for variable in variables.clone() {
            for hit in finder.places(variable).hits {
                found.push(InProcess {
                    wanted: hit.wanted,
                    program: started.program.clone(),
                    variable: Some(name(variable).unwrap_or_default()),
                    argument: None,
                    secret: secret(),
                });
            }
        }
        let asks = asked_by.contains(&started.program.pid);
        for (number, argument) in started.arguments.split(|c| *c == 0).enumerate() {
            for hit in finder.places(argument).hits {
                if asks && is_named(hit.wanted) {
                    continue;
                }
                found.push(InProcess {
                    wanted: hit.wanted,
                    program: started.program.clone(),
                    variable: None,
                    argument: Some(number),
                    secret: secret(),
                });
            }
        }
    });
    (found, seen, unreadable)
}

/// What stands before the `=`.
fn name(variable: &[u8]) -> Option<String> {
    let end = variable.iter().position(|c| *c == b'=')?;
    Some(String::from_utf8_lossy(&variable[..end]).into_owned())
}
