//! Text in columns.

/// Breaks a text into lines of at most `width` columns, at blanks; a word that is longer stands alone, uncut.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
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
}
