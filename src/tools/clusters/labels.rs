//! Labels, as an argument.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    base::schema::schema_of,
    tidbcloud::{IDEMPOTENCY_LABEL, SYSTEM_LABEL_PREFIX},
};

/// Labels of a cluster.
///
/// At most 20 of 63 characters each: the API publishes no limits, and 20 such labels are 2.6 KiB, little enough to be
/// listed with every cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// For a person.
    pub(super) fn in_words(&self) -> String {
        in_words(&self.0)
    }

    pub(super) fn into_inner(self) -> BTreeMap<String, String> {
        self.0
    }
}

/// Whether a label is a person's: neither TiDB Cloud's nor this server's.
pub(super) fn is_own(name: &str) -> bool {
    !name.starts_with(SYSTEM_LABEL_PREFIX) && name != IDEMPOTENCY_LABEL
}

/// Labels for a person, without those that TiDB Cloud sets.
pub(super) fn in_words(labels: &BTreeMap<String, String>) -> String {
    let own =
        labels.iter().filter(|(name, _)| !name.starts_with(SYSTEM_LABEL_PREFIX) && name.as_str() != IDEMPOTENCY_LABEL);
    let own: Vec<_> = own.map(|(name, value)| format!("{name} = {value}")).collect();
    if own.is_empty() { "none".to_owned() } else { own.join(", ") }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = String;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        const COUNT_MAX: usize = 20;
        const BYTES_MAX: usize = 63;
        let plain = |text: &str, extra: &[u8]| {
            text.len() <= BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
        };
        if labels.len() > COUNT_MAX {
            return Err("must be at most 20 labels".to_owned());
        }
        let fine = labels.iter().all(|(key, value)| !key.is_empty() && plain(key, b"-_./") && plain(value, b"-_. @"));
        if !fine {
            return Err("keys and values must be at most 63 letters, digits, `-`, `_` or `.`".to_owned());
        }
        // TiDB Cloud would drop them without a word, and the caller's labels with them.
        match labels.keys().find(|name| name.starts_with(SYSTEM_LABEL_PREFIX)) {
            Some(name) => Err(format!("`{name}` is a system label, which only TiDB Cloud sets; leave it out")),
            None => Ok(Self(labels)),
        }
    }
}

schema_of! {
    Labels => {
        "type": "object",
        "additionalProperties": {"type": "string"}
    };
}
