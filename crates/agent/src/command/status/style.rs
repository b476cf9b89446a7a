//! How it looks: as wide as the terminal, in colour where colour is wanted, and never in colour alone.

use std::io::{self, IsTerminal};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::bar::{self, Shape};
use super::headline::Headline;
use crate::config::Env;
use crate::printer::layout;

/// Where nobody says how wide it is.
const WIDTH: usize = 80;

/// Narrower ones get no narrower lines.
const WIDTH_MIN: usize = 30;

/// The column at which values begin, in a profile's block.
const COLUMN: usize = 12;

/// A colour, by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// All is well.
    Good,
    /// Something is under way, or soon due.
    Busy,
    /// A person is needed.
    Bad,
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// How it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) is_coloured: bool,
    pub(super) is_unicode: bool,
    pub(super) width: usize,
    /// How large the terminal truly is; `None` if it is none.
    pub(super) terminal: Option<Terminal>,
}

impl Style {
    /// As the terminal and the environment ask for.
    pub(super) fn of(env: &Env) -> Self {
        let out = io::stdout();
        let is_terminal = out.is_terminal();
        let is_dumb = env.get("TERM").is_none_or(|term| term == "dumb");
        let size = rustix::termios::tcgetwinsize(&out).ok().filter(|size| size.ws_col > 0);
        let asked = env.get("COLUMNS").and_then(|columns| columns.parse().ok());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env.get(name));
        let is_utf8 = |locale: &str| locale.to_ascii_uppercase().replace('-', "").contains("UTF8");
        Self {
            is_coloured: is_terminal && !is_dumb && env.get("NO_COLOR").is_none(),
            is_unicode: is_terminal && locale.is_some_and(is_utf8),
            width: size
                .map(|size| usize::from(size.ws_col))
                .or(asked)
                .unwrap_or(WIDTH)
                .max(WIDTH_MIN),
            terminal: size
                .filter(|_| is_terminal)
                .map(|size| Terminal { columns: size.ws_col.into(), rows: size.ws_row.into() }),
        }
    }

    pub(super) fn paint(&self, text: &str, colour: Colour) -> String {
        let code = match colour {
            Colour::Good => 32,
            Colour::Busy => 33,
            Colour::Bad => 31,
        };
        if self.is_coloured { format!("\x1b[1;{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A profile's first line.
    pub(super) fn headline(&self, name: &str, headline: Headline) -> String {
        format!("{name}  {}", self.paint(headline.word(), headline.colour()))
    }

    /// A name and what there is to say, on as many lines as it takes.
    pub(super) fn row(&self, name: &str, text: &str) -> Vec<String> {
        layout::beside(&format!("  {name}"), COLUMN, text, self.width)
    }

    /// The same, of what is about no profile.
    pub(super) fn top(&self, name: &str, text: &str) -> Vec<String> {
        layout::beside(name, COLUMN - 2, text, self.width)
    }

    /// An age against the limit; nothing where there is no room for it.
    pub(super) fn bar(&self, days: i64, limit: i64) -> String {
        let cells = match self.width {
            ..60 => return String::new(),
            60..80 => 10,
            80..100 => 14,
            _ => 20,
        };
        let shape = if self.is_unicode { Shape::Blocks } else { Shape::Ascii };
        let colour = match days {
            days if days > limit => Colour::Bad,
            days if days * 10 > limit * 8 => Colour::Busy,
            _ => Colour::Good,
        };
        self.paint(&bar::bar(days, limit, cells, shape), colour)
    }
}

/// A time for a person: his own, without the day if that is today.
pub(super) fn local(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// The same, as near as it is: `14:32`, `Thu 14:32`, `3 Dec 14:32`, `3 Dec 2027`.
pub(super) fn near(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_zoned(TimeZone::system()), now.to_zoned(TimeZone::system()));
    near_zoned(&at, &now)
}

fn near_zoned(at: &Zoned, now: &Zoned) -> String {
    let days = at.date().since(now.date()).map_or(i32::MAX, |span| span.get_days());
    let form = match days {
        0 => "%H:%M",
        -5..=5 => "%a %H:%M",
        _ if at.year() == now.year() => "%-d %b %H:%M",
        _ => "%-d %b %Y",
    };
    at.strftime(form).to_string()
}

/// How far away it is: `in 40 min`, `in 3 h`, `in 6 days`; nothing if it is over.
pub(super) fn ahead(at: Timestamp, now: Timestamp) -> Option<String> {
    let seconds = at.duration_since(now).as_secs();
    match seconds {
        ..=0 => None,
        1..=90 => Some(format!("in {seconds} s")),
        91..=5_400 => Some(format!("in {} min", (seconds + 59) / 60)),
        5_401..=172_800 => Some(format!("in {} h", (seconds + 1800) / 3600)),
        _ => Some(format!("in {} days", (seconds + 43_200) / 86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(text: &str) -> Zoned {
        text.parse().expect("a time")
    }

    #[test]
    fn a_time_is_said_as_near_as_it_is() {
        let now = zoned("2026-11-25T10:00[UTC]");
        for (at, said) in [
            ("2026-11-25T14:32[UTC]", "14:32"),
            ("2026-11-26T09:00[UTC]", "Thu 09:00"),
            ("2026-11-24T23:00[UTC]", "Tue 23:00"),
            ("2026-12-03T14:32[UTC]", "3 Dec 14:32"),
            ("2027-02-23T14:32[UTC]", "23 Feb 2027"),
        ] {
            assert_eq!(near_zoned(&zoned(at), &now), said, "{at}");
        }
        let ahead = |seconds| {
            let now = now.timestamp();
            ahead(rotakey_core::time::later(now, std::time::Duration::from_secs(seconds)), now)
        };
        assert_eq!(ahead(0), None);
        assert_eq!(ahead(60).as_deref(), Some("in 60 s"));
        assert_eq!(ahead(2400).as_deref(), Some("in 40 min"));
        assert_eq!(ahead(3 * 3600).as_deref(), Some("in 3 h"));
        assert_eq!(ahead(6 * 86_400).as_deref(), Some("in 6 days"));
    }
}
