//! Decimal numbers as TiDB Cloud's bills write them, exactly: no amount is ever rounded.

use std::fmt;

/// 10^18 fits 60 bits, and 18 digits before it fit the other 67 of an `i128`.
const PLACES_MAX: usize = 18;

/// A sum of decimal numbers: `digits` divided by 10^`places`. It has as many places as the number with the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    digits: i128,
    places: usize,
}

impl Sum {
    /// Adds a number such as `-12.34`; an empty text adds nothing. `None` if it is no such number, or too long.
    pub(super) fn plus(self, text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(self);
        }
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |text: &str| text.len() <= PLACES_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(part) || digits.ends_with('.') {
            return None;
        }
        let places = self.places.max(part.len());
        let number: i128 = format!("{whole}{part}").parse().ok()?;
        let mine = self.digits.checked_mul(power(places - self.places))?;
        let other = number.checked_mul(power(places - part.len()))?;
        Some(Self { digits: mine.checked_add(sign * other)?, places })
    }
}

fn power(exponent: usize) -> i128 {
    (0..exponent).fold(1, |power, _| power * 10)
}

impl fmt::Display for Sum {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, sign) = (power(self.places), if self.digits < 0 { "-" } else { "" });
        let (whole, part) = (self.digits.abs() / one, self.digits.abs() % one);
        match self.places {
            0 => write!(to, "{sign}{whole}"),
            places => write!(to, "{sign}{whole}.{part:0places$}"),
        }
    }
}

/// Whether a text is a number that is nothing.
pub(super) fn is_zero(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(texts: &[&str]) -> Option<String> {
        texts.iter().try_fold(Sum::default(), |sum, text| sum.plus(text)).map(|sum| sum.to_string())
    }

    #[test]
    fn sums_are_exact() {
        for (texts, whole) in [
            (&["0.10", "0.20"][..], "0.30"),
            (&["1", "0.001", "-1"], "0.001"),
            (&["0.00", "-0.05"], "-0.05"),
            (&["-1.5", "0.25"], "-1.25"),
            (&["999999999999999999.99", "0.01"], "1000000000000000000.00"),
            (&["0.123456789012345678", "0.000000000000000001"], "0.123456789012345679"),
            (&["", "7"], "7"),
            (&[], "0"),
        ] {
            assert_eq!(sum(texts).as_deref(), Some(whole), "{texts:?}");
        }
        for text in ["1,00", "USD 1", "1.", ".5", "--1", "1e3", "1.2.3", "0.1234567890123456789", "9999999999999999999"]
        {
            assert_eq!(sum(&[text]), None, "{text} is no number that is added");
        }
        // The longest numbers of either end, a million times, stay in bounds or are given up, and never wrap.
        let long = "999999999999999999.999999999999999999";
        let all = (0..1_000_000).try_fold(Sum::default(), |sum, _| sum.plus(long));
        assert!(all.is_none_or(|all| all.to_string().starts_with("99999999")));
        assert!(is_zero("0.00") && is_zero("-0") && !is_zero("0.01") && !is_zero(""));
    }
}
