//! Figures of two things that were measured in turn: A B, B A, A B, ...
//!
//! A machine that others use is faster at one time than at another; two measurements next to each other mostly are not.
//! So each pair gives a ratio, and the median of those is quoted, with the quartiles to show how much they differ.

/// Measurements of a contender and of its floor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    /// Measures `count` pairs; who is first changes from pair to pair.
    pub(crate) fn measure<E>(
        count: usize,
        mut contender: impl FnMut() -> Result<f64, E>,
        mut floor: impl FnMut() -> Result<f64, E>,
    ) -> Result<Self, E> {
        let mut pairs = Vec::with_capacity(count);
        for number in 0..count {
            pairs.push(if number % 2 == 0 {
                let contender = contender()?;
                (contender, floor()?)
            } else {
                let floor = floor()?;
                (contender()?, floor)
            });
        }
        Ok(Self(pairs))
    }

    /// Adds one that was measured elsewhere.
    pub(crate) fn push(&mut self, contender: f64, floor: f64) {
        self.0.push((contender, floor));
    }

    /// The contender's median.
    pub(crate) fn contender(&self) -> f64 {
        quantile(self.0.iter().map(|pair| pair.0).collect(), 0.5)
    }

    /// The floor's median.
    pub(crate) fn floor(&self) -> f64 {
        quantile(self.0.iter().map(|pair| pair.1).collect(), 0.5)
    }

    /// The ratio contender/floor: lower quartile, median, upper quartile.
    pub(crate) fn ratio(&self) -> (f64, f64, f64) {
        let at = |share| quantile(self.0.iter().map(|pair| pair.0 / pair.1).collect(), share);
        (at(0.25), at(0.5), at(0.75))
    }
}

/// The value below which this share lies.
pub(crate) fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    // Truncation and the loss of precision are of no matter here: there are few values.
    let place = (last as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_ratios_is_not_the_ratio_of_medians() {
        let mut pairs = Pairs::default();
        for (contender, floor) in [(2.0, 1.0), (20.0, 10.0), (3.0, 1.0)] {
            pairs.push(contender, floor);
        }
        assert_eq!((pairs.contender(), pairs.floor()), (3.0, 1.0));
        assert_eq!(pairs.ratio(), (2.0, 2.0, 3.0));
    }

    #[test]
    fn who_is_first_changes() {
        let order = std::cell::RefCell::new(String::new());
        let note = |who| {
            order.borrow_mut().push(who);
            Ok::<_, ()>(1.0)
        };
        Pairs::measure(3, || note('c'), || note('f')).unwrap();
        assert_eq!(*order.borrow(), "cffccf");
    }
}
