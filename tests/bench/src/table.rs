//! The figures, as a table that reads well in a terminal and in Markdown.

use crate::pairs::Pairs;

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// It is only told.
    None,
    /// At least this ratio to the floor.
    AtLeast(f64),
    /// At most this ratio to the floor, or this value.
    AtMost(f64),
}

/// All figures.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 6]>,
    notes: Vec<String>,
    missed: usize,
}

impl Table {
    /// A figure with its floor.
    pub(crate) fn pairs(&mut self, name: &str, pairs: &Pairs, goal: Goal) {
        let (low, median, high) = pairs.ratio();
        let goal = self.goal(median, goal);
        self.row([
            name.to_owned(),
            number(pairs.contender()),
            number(pairs.floor()),
            number(median),
            format!("{} to {}", number(low), number(high)),
            goal,
        ]);
    }

    /// A figure without a floor.
    pub(crate) fn value(&mut self, name: &str, value: f64, goal: Goal) {
        let none = String::new;
        let goal = self.goal(value, goal);
        self.row([name.to_owned(), number(value), none(), none(), none(), goal]);
    }

    /// Something to be said.
    pub(crate) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// How many figures are not what they should be.
    pub(crate) fn missed(&self) -> usize {
        self.missed
    }

    fn row(&mut self, row: [String; 6]) {
        self.rows.push(row);
    }

    fn goal(&mut self, value: f64, goal: Goal) -> String {
        let (text, is_met) = match goal {
            Goal::None => return String::new(),
            Goal::AtLeast(least) => (format!(">= {}", number(least)), value >= least),
            Goal::AtMost(most) => (format!("<= {}", number(most)), value <= most),
        };
        self.missed += usize::from(!is_met);
        if is_met { format!("{text}: met") } else { format!("{text}: MISSED") }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = ["figure", "rotakey", "floor", "ratio", "half of the pairs", "goal"];
        let head = head.map(str::to_owned);
        let rule = [(); 6].map(|()| "---".to_owned());
        let rows: Vec<_> = [&head, &rule].into_iter().chain(&self.rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        for row in rows {
            write!(f, "|")?;
            for (cell, width) in row.iter().zip(widths) {
                write!(f, " {cell:width$} |")?;
            }
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.5}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_is_told() {
        let mut table = Table::default();
        table.value("a", 15.0, Goal::AtMost(15.0));
        table.value("b", 0.89, Goal::AtLeast(0.9));
        let text = table.to_string();
        assert!(text.contains("<= 15.0: met") && text.contains(">= 0.90: MISSED"), "{text}");
        assert_eq!(table.missed(), 1);
    }
}
