//! MariaDB's plan as it prints it (`EXPLAIN FORMAT=JSON`, `ANALYZE FORMAT=JSON`).
//!
//! <https://mariadb.com/kb/en/explain-format-json/>, <https://mariadb.com/kb/en/analyze-format-json/>

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// JSON whose objects keep their order and may have a name more than once: before MariaDB 10.10 a join is an object with
/// several members `table`.
#[derive(Debug)]
pub(super) enum Tree {
    Object(Vec<(String, Tree)>),
    Array(Vec<Tree>),
    Text(String),
    Number(f64),
    Flag(bool),
    Null,
}

impl Tree {
    /// Members in order; none if this is no object.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Tree)> {
        let members = if let Self::Object(members) = self { members.as_slice() } else { &[] };
        members.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Elements in order; none if this is no array.
    pub(super) fn elements(&self) -> &[Tree] {
        if let Self::Array(elements) = self { elements } else { &[] }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Tree> {
        self.members().find(|(member, _)| *member == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether there is a member that says yes: `true`, or a number other than 0.
    pub(super) fn says(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Self::Flag(true))) || self.number(name).is_some_and(|number| number != 0.0)
    }

    /// The texts of a list.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        let elements = self.get(name).map(Self::elements).unwrap_or_default();
        elements
            .iter()
            .filter_map(|element| if let Self::Text(text) = element { Some(text.as_str()) } else { None })
            .collect()
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a plan")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Flag(flag))
    }

    #[expect(clippy::cast_precision_loss, reason = "rows are shown with two decimals, and 2^53 of them are enough")]
    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "as above")]
    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = elements.next_element()? {
            all.push(element);
        }
        Ok(Tree::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut all = Vec::new();
        while let Some((name, member)) = members.next_entry::<String, Tree>()? {
            match member {
                // So `serde_json` gives a number with its digits where a crate beside this one asks for them (`arbitrary_precision`).
                Tree::Text(digits) if name == "$serde_json::private::Number" => {
                    return digits.parse().map(Tree::Number).map_err(A::Error::custom);
                }
                member => all.push((name, member)),
            }
        }
        Ok(Tree::Object(all))
    }
}
