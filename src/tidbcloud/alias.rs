//! Short names for clusters.

use std::collections::BTreeMap;

use crate::{
    base::{json, strict},
    tidbcloud::ClusterId,
};

/// 50 names are more than a person keeps in mind.
const COUNT_MAX: usize = 50;
const CHARACTERS_MAX: usize = 64;

/// Alias to cluster id, from one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases(BTreeMap<String, ClusterId>);

impl Aliases {
    /// Collects them.
    ///
    /// # Errors
    /// The problem: an invalid or repeated alias, an invalid id, or too many.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, &'static str> {
        let mut all = BTreeMap::new();
        for (alias, id) in pairs {
            if !is_alias(&alias) {
                return Err("an alias has 2 to 64 letters, digits and hyphens, and begins with a letter");
            }
            let id = id.parse().map_err(|_| "a cluster id is a number")?;
            if all.insert(alias, id).is_some() {
                return Err("an alias appears twice");
            }
        }
        if all.len() > COUNT_MAX { Err("there are more than 50 aliases") } else { Ok(Self(all)) }
    }

    /// Reads a JSON object of alias to cluster id.
    ///
    /// # Errors
    /// As [`Aliases::new`], or the text is no such object.
    pub fn parse_json(text: &str) -> Result<Self, &'static str> {
        let pairs = strict::read(text.as_bytes()).ok().and_then(|value| json::from_value::<BTreeMap<_, _>>(value).ok());
        Self::new(pairs.ok_or("must be a JSON object of alias to cluster id, each alias once")?)
    }

    /// Reads lines of `alias = cluster id`.
    ///
    /// # Errors
    /// As [`Aliases::new`], or a line has no equals sign.
    pub fn parse_lines(text: &str) -> Result<Self, &'static str> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let pairs = lines.map(|line| {
            let (alias, id) = line.split_once('=')?;
            Some((alias.trim().to_owned(), id.trim().to_owned()))
        });
        Self::new(pairs.collect::<Option<Vec<_>>>().ok_or("write one alias a line: alias = cluster id")?)
    }

    /// The cluster of an alias.
    pub fn get(&self, alias: &str) -> Option<&ClusterId> {
        self.0.get(alias)
    }

    /// All of them, in the order of the alphabet.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ClusterId)> {
        self.0.iter().map(|(alias, id)| (alias.as_str(), id))
    }
}

/// Whether a text can be an alias: it begins with a letter, so that it looks like no id.
pub fn is_alias(text: &str) -> bool {
    (2..=CHARACTERS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn aliases_are_names_of_one_cluster_each() {
        let aliases = Aliases::parse_json(r#"{"prod": "1379661944646413143", "db": "7"}"#).unwrap();
        assert_eq!(aliases.get("prod").unwrap().as_str(), "1379661944646413143");
        assert_eq!(aliases.iter().map(|(alias, _)| alias).collect::<Vec<_>>(), ["db", "prod"]);
        assert_eq!(Aliases::parse_lines(" prod = 1379661944646413143\n\ndb=7\n"), Ok(aliases));
        for wrong in [
            "[]",
            "{",
            r#"{"prod": 7}"#,
            r#"{"prod": "shop"}"#,
            r#"{"123": "7"}"#,
            r#"{"1a": "7"}"#,
            r#"{"a": "7"}"#,
            r#"{"a-": "7"}"#,
            r#"{"prod": "1", "prod": "2"}"#,
        ] {
            assert!(Aliases::parse_json(wrong).is_err(), "{wrong}");
        }
        for wrong in ["prod", "prod = shop", "prod = 1\nprod = 2"] {
            assert!(Aliases::parse_lines(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_without_a_panic(text in "\\PC{0,80}|\\{(\"[a-z0-9-]{0,4}\":\"[0-9]{0,3}\",?){0,4}\\}") {
            let _ = Aliases::parse_lines(&text);
            if let Ok(aliases) = Aliases::parse_json(&text) {
                prop_assert!(aliases.iter().all(|(alias, _)| is_alias(alias)));
            }
        }
    }
}
