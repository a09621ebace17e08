//! The memory of an isolate between calls. Losing it costs requests, never correctness.

use std::{cell::RefCell, time::Duration};

use super::health::Health;
use crate::{
    base::{clock::UnixMillis, expiring::ExpiringMap},
    tidbcloud::{
        auth::{key::Caller, nonces::Nonces},
        database::facts::Facts,
        units::Target,
    },
};

/// Five minutes: hosts and prefixes do not change while an instance lives, and a failed login drops them at once.
const FACTS_AGE_MAX: Duration = Duration::from_secs(300);
/// 256 instances at about 300 bytes each are 75 KiB of an isolate's 128 MiB.
const FACTS_MAX: usize = 256;
/// 1,024 tables with [`KEYS_OF_A_TABLE_MAX`] keys of some 50 bytes each are 400 KiB.
const KEYS_MAX: usize = 1_024;
/// Few tables have more than a primary key and some unique ones; each may be compared with integers and with texts.
const KEYS_OF_A_TABLE_MAX: usize = 8;

/// Nonces and connection facts of one isolate, kept apart by caller.
///
/// Its cells are borrowed for single statements only, never across an `await`.
pub struct Memory {
    pub(crate) nonces: RefCell<Nonces>,
    pub(crate) health: Health,
    /// By [`place`].
    facts: ExpiringMap<str, Facts>,
    /// Columns of tables by which one row is found, by [`place`] and table.
    keys: ExpiringMap<str, Vec<Vec<String>>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            nonces: RefCell::default(),
            health: Health::default(),
            facts: ExpiringMap::evicting(FACTS_MAX),
            keys: ExpiringMap::evicting(KEYS_MAX),
        }
    }
}

impl Memory {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn facts(&self, caller: Caller, target: &Target, now: UnixMillis) -> Option<Facts> {
        self.facts.get(&place(caller, target), now)
    }

    pub(crate) fn keep_facts(&self, caller: Caller, target: &Target, now: UnixMillis, facts: Facts) {
        self.facts.insert(&place(caller, target), facts, now.after(FACTS_AGE_MAX), now);
    }

    pub(crate) fn drop_facts(&self, caller: Caller, target: &Target) {
        self.facts.remove(&place(caller, target));
    }
}

/// A table of an instance, as a statement names it.
pub(crate) struct Table<'t> {
    pub(crate) target: &'t Target,
    /// The database in which unqualified names are looked up.
    pub(crate) database: &'t str,
    pub(crate) name: &'t str,
}

impl Memory {
    /// Whether one row of a table was found by some of these columns.
    pub(crate) fn finds_one(&self, caller: Caller, table: &Table<'_>, columns: &[String], now: UnixMillis) -> bool {
        let keys = self.keys.get(&table.place(caller), now).unwrap_or_default();
        keys.iter().any(|key| key.iter().all(|column| columns.contains(column)))
    }

    /// Remembers that one row of a table is found by these columns.
    pub(crate) fn keep_key(&self, caller: Caller, table: &Table<'_>, columns: Vec<String>, now: UnixMillis) {
        let place = table.place(caller);
        // The oldest says when all are forgotten.
        let until = self.keys.until(&place, now);
        self.keys.update(&place, now, |keys| {
            let mut keys = keys.filter(|_| until.is_some()).unwrap_or_default();
            keys.retain(|key| *key != columns);
            keys.insert(0, columns);
            keys.truncate(KEYS_OF_A_TABLE_MAX);
            (keys, until.unwrap_or_else(|| now.after(FACTS_AGE_MAX)), ())
        });
    }

    /// Forgets the keys of all tables of an instance.
    pub(crate) fn drop_keys(&self, caller: Caller, target: &Target) {
        let of_target = format!("{}\0", place(caller, target));
        self.keys.retain(|place| !place.starts_with(&of_target));
    }
}

impl Table<'_> {
    fn place(&self, caller: Caller) -> String {
        format!("{}\0{}\0{}", place(caller, self.target), self.database, self.name)
    }
}

fn place(caller: Caller, Target { cluster, branch }: &Target) -> String {
    let branch = branch.as_ref().map_or("", |branch| branch.as_str());
    format!("{caller} {cluster} {branch}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidbcloud::{ApiKey, Authenticator, BearerToken, transport::hosts::SqlHost};

    fn target(number: usize) -> Target {
        Target { cluster: number.to_string().parse().unwrap(), branch: None }
    }

    #[test]
    fn facts_are_kept_per_caller_for_five_minutes_and_in_bounds() {
        let memory = Memory::new();
        let caller = |private| Authenticator::from(ApiKey::new("SBXOWNER", private).unwrap()).caller();
        let (right, wrong) = (caller("canary"), caller("canary-wrong"));
        let facts =
            Facts { host: SqlHost::of_endpoint("gateway01.tidbcloud.com").unwrap(), prefix: Some("pre".to_owned()) };
        for number in 0..300 {
            let now = UnixMillis(u64::try_from(number).unwrap());
            memory.keep_facts(right, &target(number), now, facts.clone());
        }
        assert_eq!(memory.facts.len(), FACTS_MAX);
        assert_eq!(memory.facts(right, &target(0), UnixMillis(300)), None, "the oldest made room");
        assert_eq!(memory.facts(right, &target(299), UnixMillis(300)), Some(facts));
        assert_eq!(memory.facts(wrong, &target(299), UnixMillis(300)), None);
        assert_eq!(memory.facts(right, &target(299), UnixMillis(300_299)), None, "five minutes have passed");
        let token = |token: &str| BearerToken::new(token, "SBXOWNER", "0a".repeat(32)).unwrap();
        let refreshed = ["canary", "canary-2"].map(|text| Authenticator::from(token(text)).caller());
        assert!(right != refreshed[0] && refreshed[0] != refreshed[1], "an ended token finds nothing");
        memory.drop_facts(right, &target(298));
        assert_eq!(memory.facts(right, &target(298), UnixMillis(300)), None);
    }
    #[test]
    fn keys_of_tables_are_kept_for_five_minutes_and_until_the_schema_changes() {
        let memory = Memory::new();
        let caller = Authenticator::from(ApiKey::new("SBXOWNER", "canary").unwrap()).caller();
        let (this, other) = (target(1), target(11));
        let table = |target, name| Table { target, database: "shop", name };
        let columns = |name: &str| vec![format!("{name} integer")];
        let finds = |target, name, column, now| memory.finds_one(caller, &table(target, name), &columns(column), now);
        memory.keep_key(caller, &table(&this, "orders"), columns("id"), UnixMillis(0));
        memory.keep_key(caller, &table(&this, "orders"), columns("number"), UnixMillis(299_000));
        assert!(finds(&this, "orders", "id", UnixMillis(299_999)));
        assert!(!finds(&this, "orders", "id", UnixMillis(300_000)), "a younger key does not keep an older one");
        memory.keep_key(caller, &table(&this, "orders"), columns("number"), UnixMillis(300_001));
        assert!(!finds(&this, "orders", "id", UnixMillis(300_002)), "what has expired does not come back");
        memory.keep_key(caller, &table(&this, "customers"), columns("id"), UnixMillis(300_001));
        memory.keep_key(caller, &table(&other, "orders"), columns("id"), UnixMillis(300_001));
        memory.drop_keys(caller, &this);
        for (target, name, column, known) in
            [(&this, "orders", "number", false), (&this, "customers", "id", false), (&other, "orders", "id", true)]
        {
            assert_eq!(finds(target, name, column, UnixMillis(300_002)), known, "{name}");
        }
    }
}
