//! Text in columns.

/// How many columns a text takes: its characters, but those of colours (`ESC [ … m`).
#[must_use]
pub fn width(text: &str) -> usize {
    columns(text).filter(|(_, is_seen)| *is_seen).count()
}

/// The characters, each with whether it takes a column.
fn columns(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut is_colour = false;
    text.chars().map(move |c| {
        let is_seen = !is_colour && c != '\x1b';
        is_colour = (is_colour && c != 'm') || c == '\x1b';
        (c, is_seen)
    })
}

/// The first `most` columns of a line, with all its colours: what is painted at the cut does not run on.
#[must_use]
pub fn cut(line: &str, most: usize) -> String {
    let mut left = most;
    let kept = columns(line).filter(|(_, is_seen)| {
        let is_kept = !is_seen || left > 0;
        left -= usize::from(*is_seen && is_kept);
        is_kept
    });
    kept.map(|(c, _)| c).collect()
}

/// Breaks a text into lines of at most `most` columns, at blanks; a word that is longer stands alone, uncut. A command
/// `in backticks` stays on one line where it fits, so that it can be copied.
#[must_use]
pub fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in pieces(text, most) {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= most => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// The words, and what stands between two backticks as one if it is not too wide.
fn pieces(text: &str, most: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut words = text.split_whitespace();
    let is_open = |word: &str| word.matches('`').count() % 2 == 1;
    while let Some(word) = words.next() {
        if is_open(word) {
            let mut rest = words.clone();
            let length = rest.position(is_open).map(|at| at + 1);
            let quoted = length.map(|length| {
                let more = words.clone().take(length);
                more.fold(word.to_owned(), |whole, word| format!("{whole} {word}"))
            });
            if let Some(quoted) = quoted.filter(|quoted| width(quoted) <= most) {
                pieces.push(quoted);
                words = rest;
                continue;
            }
        }
        pieces.push(word.to_owned());
    }
    pieces
}

/// A name, and what there is to say beside it from a column on: it goes on below itself.
#[must_use]
pub fn beside(name: &str, column: usize, text: &str, most: usize) -> Vec<String> {
    let lines = wrap(text, most.saturating_sub(column));
    let name_of = |at| if at == 0 { name } else { "" };
    lines.iter().enumerate().map(|(at, line)| format!("{:column$}{line}", name_of(at))).collect()
}

/// [Breaks](wrap) what is printed as it is said: a line that fits, or that begins with a blank, stays. The lines after the
/// first stand under the text behind `error: `, `hint: ` and `warning: `, and two columns in otherwise.
#[must_use]
pub fn fold(text: &str, most: usize) -> Vec<String> {
    let mut folded = Vec::new();
    for line in text.split('\n') {
        if width(line) <= most || line.starts_with(' ') {
            folded.push(line.to_owned());
            continue;
        }
        let behind =
            ["error: ", "hint: ", "warning: "].iter().find(|word| line.starts_with(**word));
        let indent = behind.map_or(2, |word| word.len());
        let (first, rest) = match behind {
            Some(word) => line.split_at(word.len()),
            None => ("", line),
        };
        let lines = wrap(rest, most.saturating_sub(indent));
        folded.extend(lines.iter().enumerate().map(|(at, line)| match at {
            0 => format!("{first}{line}"),
            _ => format!("{:indent$}{line}", ""),
        }));
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_and_no_word_is_lost() {
        let text = "a text of some words, and averyveryverylongwordindeed at its end";
        for width in 1..80 {
            let lines = wrap(text, width);
            assert_eq!(lines.join(" "), text);
            let fits = |line: &String| line.len() <= width || !line.contains(' ');
            assert!(lines.iter().all(fits), "{width}: {lines:?}");
        }
        assert_eq!(wrap("  ", 10), Vec::<String>::new());
    }

    #[test]
    fn a_command_stays_on_one_line() {
        let text = "then run `rotakey resume deploy --wait deleted`, or `undo` it";
        assert_eq!(
            wrap(text, 42),
            ["then run", "`rotakey resume deploy --wait deleted`, or", "`undo` it"]
        );
        let lines = wrap(text, 20);
        assert_eq!(lines.join(" "), text, "what is too wide is broken");
        assert!(lines.iter().all(|line| line.len() <= 20), "{lines:?}");
        assert_eq!(wrap("a ` stands alone", 8), ["a `", "stands", "alone"]);
    }

    #[test]
    fn what_stands_beside_a_name_goes_on_below_itself() {
        assert_eq!(beside("key", 5, "one two three", 12), ["key  one two", "     three"]);
    }

    #[test]
    fn what_is_said_is_folded_under_itself() {
        assert_eq!(fold("hint: one two three", 12), ["hint: one", "      two", "      three"]);
        assert_eq!(fold("app: one two three", 12), ["app: one", "  two three"]);
        let table = "error: at\n  |       a picture of it\nend";
        assert_eq!(fold(table, 12), table.split('\n').collect::<Vec<_>>(), "drawn lines stay");
    }

    #[test]
    fn colours_take_no_room() {
        let painted = "\x1b[1;32m[####]\x1b[0m of 90";
        assert_eq!(width(painted), "[####] of 90".len());
        assert_eq!(wrap(painted, 12), [painted]);
        assert_eq!(wrap(painted, 11).len(), 2);
        assert_eq!(cut(painted, 3), "\x1b[1;32m[##\x1b[0m");
        assert_eq!(cut(painted, 12), painted);
        assert_eq!(cut("äöü", 2), "äö");
    }
}
