//! Tables, as a reader sees them: a row that stands alone, or has a cell too many, is no row of any.

use super::markdown::{Document, root};

/// Rows that no table has, or that have other cells than its head.
pub fn broken(documents: &[Document]) -> Vec<String> {
    let text = |name: &str| std::fs::read_to_string(root().join(name)).unwrap();
    documents.iter().flat_map(|document| of(&document.name, &text(&document.name))).collect()
}

fn of(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let (mut is_code, mut head) = (false, None);
    let lines: Vec<&str> = text.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        is_code ^= line.starts_with("```");
        if is_code || !line.starts_with('|') {
            head = None;
            continue;
        }
        let wanted = *head.get_or_insert_with(|| cells(line));
        let is_head = n == 0 || !lines[n - 1].starts_with('|');
        let is_ruled = lines.get(n + 1).is_some_and(|next| next.starts_with("| ---"));
        if is_head && !is_ruled {
            complaints.push(format!("{name}:{}: a row of no table", n + 1));
        } else if cells(line) != wanted {
            complaints.push(format!("{name}:{}: not as many cells as its table has", n + 1));
        }
    }
    complaints
}

/// A bar in a cell ends it, in code as well, unless it is escaped.
fn cells(line: &str) -> usize {
    line.replace("\\|", "").matches('|').count()
}

#[test]
fn a_broken_table_is_found() {
    let head = "| a | b |\n| --- | --- |\n";
    assert_eq!(of("x", &format!("{head}| 1 | `2\\|3` |\n")), Vec::<String>::new());
    assert_eq!(of("x", &format!("{head}| 1 | `2|3` |\n")).len(), 1);
    assert_eq!(of("x", &format!("{head}| 1 | 2 |\n\n| 3 | 4 |\n")).len(), 1);
}
