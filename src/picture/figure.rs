//! Numbers of a picture: decimals as integers, and the round numbers of an axis.

use crate::base::decimal::{Decimal, power};

/// What a figure counts: decimals are exact to the sixth, and rounded beyond.
const ONE: i128 = 1_000_000;
/// Decimals of a figure.
const DECIMALS: usize = 6;
/// 10^18 units: no decimal number that is read has more. A figure has 10^24 then, the sum of a million of them 10^30, and that times the pixels of a picture 10^33 of
/// the 10^38 that fit.
const MAX: i128 = 1_000_000_000_000_000_000 * ONE;
/// Intervals of an axis.
const INTERVALS_MAX: i128 = 5;
/// From here on a number is written in thousands of millions, and so on.
const LONG: i128 = 1_000_000_000 * ONE;

/// A number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Figure(pub(super) i128);

impl Figure {
    /// Reads a decimal number such as `-12.34`. `None` if it is none, or beyond any picture.
    pub fn parse(text: &str) -> Option<Self> {
        let Decimal { digits, places } = Decimal::parse(text.trim())?;
        if places <= DECIMALS {
            return Some(Self(digits * power(DECIMALS - places)));
        }
        let unit = power(places - DECIMALS);
        Some(Self(digits.signum() * ((digits.abs() + unit / 2) / unit)))
    }

    /// Both together, of which either may not be known.
    pub(crate) fn sum(one: Option<Self>, two: Option<Self>) -> Option<Self> {
        match (one, two) {
            (Some(one), Some(two)) => Some(Self(one.0 + two.0)),
            (one, two) => one.or(two),
        }
    }

    /// As a person reads it, with so many decimals.
    pub(super) fn text(self, decimals: usize) -> String {
        let (scale, word) = match self.0.abs() {
            size if size >= LONG * 1_000_000 => (1_000_000_000_000_000, " P"),
            size if size >= LONG * 1_000 => (1_000_000_000_000, " T"),
            size if size >= LONG => (1_000_000_000, " G"),
            _ => (1, ""),
        };
        let decimals = if word.is_empty() { decimals.min(DECIMALS) } else { 2 };
        let unit = ONE * scale / power(decimals);
        let rounded = (self.0.abs() + unit / 2) / unit;
        let (whole, part) = (rounded / power(decimals), rounded % power(decimals));
        let sign = if self.0 < 0 && rounded != 0 { "-" } else { "" };
        let whole = grouped(&whole.to_string());
        if decimals == 0 { format!("{sign}{whole}{word}") } else { format!("{sign}{whole}.{part:0decimals$}{word}") }
    }
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many decimals these need beside each other: cents beside whole units, and more only where nothing reaches a cent.
pub(super) fn decimals(figures: impl Iterator<Item = Figure> + Clone) -> usize {
    let largest = figures.clone().map(|figure| figure.0.abs()).max().unwrap_or_default();
    let most = if largest >= ONE {
        2
    } else if largest >= ONE / 100 {
        4
    } else {
        DECIMALS
    };
    let needs = |Figure(figure): Figure| {
        let is_enough = |decimals: &usize| figure % (ONE / power(*decimals)) == 0;
        (0..most).find(is_enough).unwrap_or(most)
    };
    figures.map(needs).max().unwrap_or_default()
}

/// An axis from round number to round number, with zero on it.
pub(super) struct Axis {
    pub(super) low: i128,
    pub(super) high: i128,
    step: i128,
}

impl Axis {
    /// The axis on which these fit.
    pub(super) fn around(low: i128, high: i128) -> Self {
        let (low, high) = (low.min(0), high.max(0));
        // 1, 2, 5, 10, 20, 50 and so on.
        let steps = (0..).flat_map(|exponent| [1, 2, 5].map(|digit| digit * power(exponent)));
        let fits = |step: &i128| high - low <= step * INTERVALS_MAX;
        let step = if low == high { ONE } else { steps.into_iter().find(fits).unwrap_or(MAX) };
        let below = -((-low + step - 1) / step) * step;
        let above = ((high + step - 1) / step).max(i128::from(low == 0)) * step;
        Self { low: below, high: above, step }
    }

    /// Its round numbers.
    pub(super) fn ticks(&self) -> impl Iterator<Item = Figure> + Clone {
        let (low, high, step) = (self.low, self.high, self.step);
        (0..).map(move |count| low + count * step).take_while(move |tick| *tick <= high).map(Figure)
    }

    /// How far along a line of this length a number is.
    pub(super) fn along(&self, figure: i128, length: i128) -> i128 {
        let range = (self.high - self.low).max(1);
        ((figure.clamp(self.low, self.high) - self.low) * length + range / 2) / range
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_and_written_exactly() {
        for (text, decimals, written) in [
            ("0", 0, "0"),
            ("12.34", 2, "12.34"),
            ("-1234567.5", 1, "-1,234,567.5"),
            ("0.0000005", 6, "0.000001"),
            ("0.9999999", 2, "1.00"),
            ("-0.001", 2, "0.00"),
            ("2500000000", 0, "2.50 G"),
            ("100000000000000000", 0, "100.00 P"),
        ] {
            assert_eq!(Figure::parse(text).map(|figure| figure.text(decimals)), Some(written.to_owned()), "{text}");
        }
        for text in ["", "-", ".5", "5.", "1e3", "+1", "NaN", "1,000", "1000000000000000000", &"9".repeat(60)] {
            assert_eq!(Figure::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_axis_is_round_and_holds_what_is_on_it(one in any::<i64>(), two in any::<i64>(), shift in 0..63_u32) {
            let (low, high) = (i128::from(one.min(two) >> shift), i128::from(one.max(two) >> shift));
            let axis = Axis::around(low, high);
            prop_assert!(axis.low <= low.min(0) && axis.high >= high.max(0) && axis.low < axis.high);
            let ticks: Vec<_> = axis.ticks().collect();
            prop_assert!((2..=7).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.contains(&Figure(0)), "{ticks:?}");
            let digits = axis.step.to_string();
            prop_assert!(["1", "2", "5"].contains(&digits.trim_end_matches('0')), "{digits}");
            for figure in [low, high, 0] {
                prop_assert!((0..=500).contains(&axis.along(figure, 500)));
            }
        }
    }
}
