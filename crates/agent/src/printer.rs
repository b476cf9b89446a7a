//! The one place that writes: data to standard output, talk to standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the module that prints")]

pub mod layout;

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use crate::failure::Failed;

/// Writes to the terminal or to whatever stands in for it.
#[derive(Clone, Debug)]
pub struct Printer {
    talks_to_person: bool,
    /// Why data did not arrive, if it did not.
    lost: Arc<OnceLock<String>>,
}

impl Printer {
    /// A printer for this process.
    pub fn new() -> Self {
        Self { talks_to_person: std::io::stderr().is_terminal(), lost: Arc::default() }
    }

    /// Data: one line on standard output. A reader who went away is not an error.
    pub fn data(&self, line: &str) {
        if let Err(error) = writeln!(std::io::stdout(), "{line}")
            && error.kind() != ErrorKind::BrokenPipe
        {
            let _ = self.lost.set(error.to_string());
        }
    }

    /// Why data did not arrive, where that is an error: the disk is full, say.
    pub fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Data that must arrive whole, without a newline of its own; says whether it did.
    pub fn data_whole(&self, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Talk: one line on standard error. On a terminal it is broken between words, elsewhere it stays one.
    pub fn say(&self, line: &str) {
        let lines = match self.columns() {
            Some(columns) => layout::fold(line, columns).join("\n"),
            None => line.to_owned(),
        };
        let _ = writeln!(std::io::stderr(), "{lines}");
    }

    /// How wide the terminal is that data goes to, if it goes to one.
    pub fn data_columns(&self) -> Option<usize> {
        let out = std::io::stdout();
        let size = rustix::termios::tcgetwinsize(&out).ok()?;
        let columns = usize::from(size.ws_col);
        (out.is_terminal() && columns > 0).then_some(columns)
    }

    /// How wide the terminal is that a person looks at, if one does.
    fn columns(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
        let columns = usize::from(size.ws_col);
        (self.talks_to_person && columns > 0).then_some(columns)
    }

    /// Progress that replaces itself, on a terminal only.
    pub fn progress(&self, line: &str) {
        if self.talks_to_person {
            // One that went over the edge could not be replaced.
            let line = layout::cut(line, self.columns().unwrap_or(80).saturating_sub(1));
            let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
            let _ = std::io::stderr().flush();
        }
    }

    /// A question whose answer is to follow on the same line.
    pub fn ask(&self, question: &str) {
        let _ = write!(std::io::stderr(), "{question}");
        let _ = std::io::stderr().flush();
    }

    /// Ends the progress line.
    pub fn progress_done(&self) {
        if self.talks_to_person {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }

    /// A failure and its hint.
    pub fn error(&self, failed: &Failed) {
        self.progress_done();
        self.say(&format!("error: {}", failed.message));
        if let Some(hint) = &failed.hint {
            self.say(&format!("hint: {hint}"));
        }
    }

    /// Asks a person yes or no; no, if there is nobody to ask.
    pub fn confirm(&self, question: &str) -> bool {
        if !std::io::stdin().is_terminal() {
            return false;
        }
        let _ = write!(std::io::stderr(), "{question} [y/N] ");
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
    }
}

impl Default for Printer {
    fn default() -> Self {
        Self::new()
    }
}
