//! Decimal numbers as TiDB Cloud writes them, exactly: no amount is ever rounded.

use std::fmt;

/// 10^18 fits 60 bits, and 18 digits before it fit the other 67 of an `i128`.
const PLACES_MAX: usize = 18;

/// A decimal number: `digits` divided by 10^`places`. A sum has as many places as the number with the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) digits: i128,
    pub(crate) places: usize,
}

impl Decimal {
    /// Reads a number such as `-12.34`. `None` if it is no such number, or too long.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |text: &str| text.len() <= PLACES_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(part) || digits.ends_with('.') {
            return None;
        }
        let number: i128 = format!("{whole}{part}").parse().ok()?;
        Some(Self { digits: sign * number, places: part.len() })
    }

    /// The sum; `None` if it is too long.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let places = self.places.max(other.places);
        let [one, two] = [self, other].map(|number| number.digits.checked_mul(power(places - number.places)));
        Some(Self { digits: one?.checked_add(two?)?, places })
    }
}

/// 10 to this power. It fits up to 38.
pub(crate) fn power(exponent: usize) -> i128 {
    (0..exponent).fold(1, |power, _| power * 10)
}

impl fmt::Display for Decimal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, sign) = (power(self.places), if self.digits < 0 { "-" } else { "" });
        let (whole, part) = (self.digits.abs() / one, self.digits.abs() % one);
        match self.places {
            0 => write!(to, "{sign}{whole}"),
            places => write!(to, "{sign}{whole}.{part:0places$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(texts: &[&str]) -> Option<String> {
        let sum = texts.iter().try_fold(Decimal::default(), |sum, text| sum.plus(Decimal::parse(text)?));
        sum.map(|sum| sum.to_string())
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
            (&["7"], "7"),
            (&[], "0"),
        ] {
            assert_eq!(sum(texts).as_deref(), Some(whole), "{texts:?}");
        }
        for text in
            ["", "1,00", "USD 1", "1.", ".5", "--1", "1e3", "1.2.3", "0.1234567890123456789", "9999999999999999999"]
        {
            assert_eq!(sum(&[text]), None, "{text} is no number that is added");
        }
        // The longest numbers of either end, a million times, stay in bounds or are given up, and never wrap.
        let long = Decimal::parse("999999999999999999.999999999999999999").unwrap();
        let all = (0..1_000_000).try_fold(Decimal::default(), |sum, _| sum.plus(long));
        assert!(all.is_none_or(|all| all.to_string().starts_with("99999999")));
    }
}
