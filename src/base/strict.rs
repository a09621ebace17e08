//! Text to JSON, refusing documents that two readers could understand differently.
//!
//! `serde_json` alone keeps the last of two equal keys and says nothing; a gateway in front of us may keep the first.
//! Its own limit stays: an array or object nested 128 levels deep is an error.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The largest call has 20 statements or 50 labels under one object; 1,000 keys are twenty times that, and
/// 1,000 insertions into a sorted map are well under a millisecond.
pub(crate) const KEYS_MAX: usize = 1_000;

/// Reads a document.
///
/// # Errors
/// It is no JSON (RFC 8259), or one of its objects has a key twice or too many.
pub fn read(document: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(document).map(|Strict(value)| value)
}

/// A value whose objects have no key twice.
pub(crate) struct Strict(pub(crate) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Inner).map(Self)
    }
}

/// Builds a value below the top.
struct Inner;

impl<'de> Visitor<'de> for Inner {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        // Keys arrive unescaped: `method` and `\u006dethod` are the same key.
        while let Some(key) = entries.next_key::<String>()? {
            // A number that is no integer, in the digits that were written.
            if key == NUMBER {
                let Digits(digits) = entries.next_value()?;
                let number: Number = digits.parse().map_err(A::Error::custom)?;
                if !is_finite(&digits) {
                    return Err(A::Error::custom("a number is out of range"));
                }
                return Ok(Value::Number(number));
            }
            if object.len() == KEYS_MAX {
                return Err(A::Error::custom("an object has more than 1000 keys"));
            }
            if object.contains_key(&key) {
                return Err(A::Error::custom("an object has the same key twice"));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Whether a number of JSON has fewer digits before its point than the largest double, 1.8e308: to another reader a larger one is
/// infinity.
fn is_finite(number: &str) -> bool {
    const DIGITS_MAX: i64 = 309;
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let whole = mantissa.trim_start_matches('-').split('.').next().unwrap_or_default().trim_start_matches('0');
    let mut digits = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    if whole.is_empty() {
        // `0.001e5` has two zeros to use up.
        let fraction = mantissa.split_once('.').map_or("", |(_, fraction)| fraction);
        let zeros = fraction.len() - fraction.trim_start_matches('0').len();
        if zeros == fraction.len() {
            return true;
        }
        digits = digits.saturating_sub(i64::try_from(zeros).unwrap_or(i64::MAX));
    }
    match exponent.trim_start_matches('+').parse::<i64>() {
        Ok(exponent) => digits.saturating_add(exponent) <= DIGITS_MAX,
        // More digits than 64 bits hold.
        Err(_) => exponent.starts_with('-'),
    }
}

/// `serde_json` gives a number with more than an integer's digits as an object with this member (`arbitrary_precision`).
pub(super) const NUMBER: &str = "$serde_json::private::Number";

/// The digits of such a number. They come owned; the text of a document, where somebody wrote this member, does not.
struct Digits(String);

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Owned).map(Self)
    }
}

struct Owned;

impl Visitor<'_> for Owned {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<String, E> {
        Err(E::custom("an object has a reserved key"))
    }

    fn visit_string<E>(self, digits: String) -> Result<String, E> {
        Ok(digits)
    }
}
