//! How fields of TiDB Cloud's answers are read: absent and `null` are the same, and 64-bit integers may be strings, as
//! proto3 JSON writes them.

use serde::{Deserialize, Deserializer, de};

/// The default if a field is `null`.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// `None` if a text is `null` or empty.
pub(crate) fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(from)?.filter(|text: &String| !text.is_empty()))
}

/// An integer, or a string that holds one.
pub(crate) fn integer<'de, D: Deserializer<'de>, T>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + std::str::FromStr,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<T> {
        Number(T),
        Text(String),
    }
    match Option::deserialize(from)? {
        None => Ok(None),
        Some(Written::Number(number)) => Ok(Some(number)),
        Some(Written::Text(text)) => {
            text.parse().map(Some).map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &"an integer"))
        }
    }
}
