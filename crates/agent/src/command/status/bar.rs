//! An age against a limit, as a bar.

/// What it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `█████░░░░░`
    Blocks,
    /// `[#####-----]`
    Ascii,
}

/// So many cells; full means that the limit is reached, and what is past it ends with an exclamation mark.
pub(super) fn bar(days: i64, limit: i64, cells: usize, shape: Shape) -> String {
    let (days, limit) = (days.max(0), limit.max(1));
    // Not empty from the first day on, and not full before the limit.
    let share = usize::try_from(days).unwrap_or(usize::MAX).saturating_mul(cells)
        / usize::try_from(limit).unwrap_or(1);
    let full = if days >= limit { cells } else { share.min(cells.saturating_sub(1)) };
    let (ink, blank, before, after) = match shape {
        Shape::Blocks => ("█", "░", "", ""),
        Shape::Ascii => ("#", "-", "[", "]"),
    };
    let over = if days > limit { "!" } else { "" };
    format!("{before}{}{}{after}{over}", ink.repeat(full), blank.repeat(cells - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_the_age_and_is_full_at_the_limit() {
        let ascii = |days| bar(days, 90, 10, Shape::Ascii);
        assert_eq!(ascii(0), "[----------]");
        assert_eq!(ascii(45), "[#####-----]");
        assert_eq!(ascii(89), "[#########-]");
        assert_eq!(ascii(90), "[##########]");
        assert_eq!(ascii(91), "[##########]!");
        assert_eq!(ascii(i64::MAX), "[##########]!");
        assert_eq!(ascii(-3), "[----------]");
        assert_eq!(bar(45, 90, 10, Shape::Blocks), "█████░░░░░");
    }
}
