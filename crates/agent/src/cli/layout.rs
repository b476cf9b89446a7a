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

/// Breaks a text into lines of at most `most` columns, at blanks; a word that is longer stands alone, uncut.
#[must_use]
pub fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
