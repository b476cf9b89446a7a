//! `status --watch`: on a terminal the same block, drawn anew in its place; elsewhere a new one for each change.

use std::time::Duration;

use serde_json::Value;

use super::style::{Style, Terminal};
use super::{Seen, look};
use crate::app::App;
use crate::failure::{Exit, Failed};
use crate::printer::layout;

/// Between two looks. Times are said in minutes, so most of them find nothing new to draw.
const LOOK: Duration = Duration::from_millis(500);

/// Draws it after that many looks even if nothing changed: somebody may have written into it.
const LOOKS: u32 = 4;

/// Runs until Ctrl-C, or until nobody reads any more.
pub(super) fn run(app: &App, named: Option<&str>, as_json: bool) -> Result<(), Failed> {
    let cannot = |error: std::io::Error| Failed::new(Exit::Failed, format!("cannot wait: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    runtime.block_on(async {
        let mut screen = Screen::default();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                ended = tokio::signal::ctrl_c() => return ended.map_err(cannot),
                _ = tick.tick() => {}
            }
            // What it was started with may have changed; a configuration that is wrong for now changes nothing.
            let fresh = App::load(app.env.clone(), app.profile.clone(), &app.printer);
            let seen = look(fresh.as_ref().unwrap_or(app), named)?;
            let style = Style::of(&app.env);
            let drawn = match (as_json, style.terminal) {
                (true, _) => screen.object(&seen),
                (false, None) => screen.block(&seen, &style),
                (false, Some(terminal)) => screen.redraw(seen.text(&style), terminal),
            };
            if let Some(text) = drawn
                && app.printer.data_whole(&text).is_err()
            {
                return Ok(());
            }
        }
    })
}

/// What stands there.
#[derive(Default)]
struct Screen {
    /// What it was made of.
    seen: Option<Value>,
    lines: Vec<String>,
    /// Looks since it was drawn.
    looks: u32,
}

impl Screen {
    /// The object, if it is another one.
    fn object(&mut self, seen: &Seen) -> Option<String> {
        self.is_changed(seen).then(|| format!("{}\n", seen.json()))
    }

    /// The block, if something changed, and a blank line between two.
    fn block(&mut self, seen: &Seen, style: &Style) -> Option<String> {
        let before = if self.seen.is_some() { "\n" } else { "" };
        self.is_changed(seen).then(|| format!("{before}{}\n", seen.text(style).join("\n")))
    }

    /// Goes up to where the last one began, and writes over it.
    fn redraw(&mut self, mut lines: Vec<String>, terminal: Terminal) -> Option<String> {
        // One line is the cursor's. What does not fit cannot be gone back to.
        let fits = terminal.rows.saturating_sub(1).max(1);
        if lines.len() > fits {
            lines.truncate(fits - 1);
            lines.push(
                "… more than this terminal holds: `rotakey status PROFILE --watch`".to_owned(),
            );
        }
        // A line that the terminal breaks takes several rows, and going up would end below the first.
        let lines: Vec<_> = lines.iter().map(|line| layout::cut(line, terminal.columns)).collect();
        self.looks += 1;
        if lines == self.lines && self.looks < LOOKS {
            return None;
        }
        let up = self.lines.len();
        let mut text = if up == 0 { String::new() } else { format!("\x1b[{up}A\r") };
        // Cleared line by line, so that nothing flickers.
        for line in &lines {
            // Behind a full row the cursor still stands on its last character, which would go, too.
            let is_full = layout::width(line) >= terminal.columns;
            text.push_str(&format!("{line}{}\n", if is_full { "" } else { "\x1b[K" }));
        }
        text.push_str("\x1b[J");
        (self.lines, self.looks) = (lines, 0);
        Some(text)
    }

    fn is_changed(&mut self, seen: &Seen) -> bool {
        let mut now = seen.json();
        for profile in now["profiles"].as_array_mut().into_iter().flatten() {
            still(profile);
        }
        let is_changed = self.seen.as_ref() != Some(&now);
        self.seen = Some(now);
        is_changed
    }
}

/// Leaves out what changes all the time.
fn still(profile: &mut Value) {
    if let Some(current) = profile["current"].as_object_mut() {
        current.remove("age_seconds");
    }
    if let Some(leases) = profile["leases"].as_object_mut() {
        leases.remove("horizon");
    }
    if let Some(schedule) = profile["schedule"].as_object_mut() {
        schedule.remove("next_look");
    }
    for holder in profile["leases"]["holders"].as_array_mut().into_iter().flatten() {
        if let Some(holder) = holder.as_object_mut() {
            holder.remove("until");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_takes_two_rows_and_it_goes_up_by_as_many_as_it_drew() {
        let terminal = Terminal { columns: 10, rows: 4 };
        let mut screen = Screen::default();
        let lines = vec!["x".repeat(30), "short".to_owned()];
        let first = screen.redraw(lines.clone(), terminal).expect("drawn");
        assert_eq!(first, format!("{}\nshort\x1b[K\n\x1b[J", "x".repeat(10)));
        assert_eq!(screen.redraw(lines, terminal), None);
        let many = (0..9).map(|n| n.to_string()).collect();
        let second = screen.redraw(many, terminal).expect("drawn");
        let rest = second.strip_prefix("\x1b[2A\r").expect("two rows up");
        assert!(rest.starts_with("0\x1b[K\n1\x1b[K\n… more th"), "{rest:?}");
        assert_eq!(rest.lines().nth(2).map(|line| line.chars().count()), Some(10));
    }
}
