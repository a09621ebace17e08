//! What an isolate remembers: a map of at most so many entries, each of which holds until a moment of its own.

use std::{borrow::Borrow, cell::RefCell, collections::BTreeMap};

use super::clock::UnixMillis;

/// What happens to an entry for which a full map has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenFull {
    /// It is refused, unless another has expired.
    Refuse,
    /// Whichever expires first goes, be it the new one.
    Evict,
}

/// A bounded map whose entries expire.
///
/// It lends nothing out: values are copied, so that nothing stays borrowed across an `await`.
pub struct ExpiringMap<K, V> {
    capacity: usize,
    when_full: WhenFull,
    entries: RefCell<BTreeMap<K, (UnixMillis, V)>>,
}

impl<K: Ord + Clone, V: Clone> ExpiringMap<K, V> {
    /// A map that takes nothing new while it is full of entries that hold: keys that somebody makes up push out none.
    pub const fn refusing(capacity: usize) -> Self {
        Self { capacity, when_full: WhenFull::Refuse, entries: RefCell::new(BTreeMap::new()) }
    }

    /// A map that drops what expires first where it is full.
    pub const fn evicting(capacity: usize) -> Self {
        Self { capacity, when_full: WhenFull::Evict, entries: RefCell::new(BTreeMap::new()) }
    }

    /// The value of a key, where it holds.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q, now: UnixMillis) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.borrow().get(key).filter(|(until, _)| *until > now).map(|(_, value)| value.clone())
    }

    /// Until when the entry of a key holds.
    pub fn until<Q: Ord + ?Sized>(&self, key: &Q, now: UnixMillis) -> Option<UnixMillis>
    where
        K: Borrow<Q>,
    {
        self.entries.borrow().get(key).map(|(until, _)| *until).filter(|until| *until > now)
    }

    /// Keeps a value until a moment, in place of what the key had; whether there is room for it.
    pub fn insert(&self, key: K, value: V, until: UnixMillis, now: UnixMillis) -> bool {
        let mut entries = self.entries.borrow_mut();
        if !self.makes_room(&mut entries, &key, now) {
            return false;
        }
        entries.insert(key.clone(), (until, value));
        if entries.len() <= self.capacity {
            return true;
        }
        let first = entries.iter().min_by_key(|(_, (until, _))| *until).map(|(key, _)| key.clone());
        let is_other = first.as_ref() != Some(&key);
        if let Some(first) = first {
            entries.remove(&first);
        }
        is_other
    }

    /// Changes the value of a key, or makes its first. `change` is given what is kept, even where it has expired, and says
    /// until when the new one holds. `None`: there is no room, and `change` was not asked.
    pub fn update<R>(
        &self,
        key: &K,
        now: UnixMillis,
        change: impl FnOnce(Option<V>) -> (V, UnixMillis, R),
    ) -> Option<R> {
        if !self.makes_room(&mut self.entries.borrow_mut(), key, now) {
            return None;
        }
        let kept = self.entries.borrow().get(key).map(|(_, value)| value.clone());
        let (value, until, result) = change(kept);
        self.insert(key.clone(), value, until, now);
        Some(result)
    }

    /// Forgets a key; its value, even where it had expired.
    pub fn remove<Q: Ord + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.borrow_mut().remove(key).map(|(_, value)| value)
    }

    /// Forgets all keys but these.
    pub fn retain(&self, mut keeps: impl FnMut(&K) -> bool) {
        self.entries.borrow_mut().retain(|key, _| keeps(key));
    }

    /// How many entries take up room, expired ones among them.
    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    fn makes_room(&self, entries: &mut BTreeMap<K, (UnixMillis, V)>, key: &K, now: UnixMillis) -> bool {
        if self.when_full == WhenFull::Evict || entries.len() < self.capacity || entries.contains_key(key) {
            return true;
        }
        entries.retain(|_, (until, _)| *until > now);
        entries.len() < self.capacity
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPACITY: usize = 4;

    #[derive(Clone, Debug)]
    enum Step {
        Insert { key: u8, value: u32, millis: u64 },
        Add { key: u8, amount: u32, millis: u64 },
        Remove(u8),
        Pass(u64),
    }

    /// Twice as many keys as there is room for, which hold for 0 to 20 ms.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let (key, value, millis) = (0..8_u8, 0..1_000_u32, 0..20_u64);
        let step = prop_oneof![
            4 => (key.clone(), value.clone(), millis.clone())
                .prop_map(|(key, value, millis)| Step::Insert { key, value, millis }),
            2 => (key.clone(), value, millis.clone()).prop_map(|(key, amount, millis)| Step::Add { key, amount, millis }),
            1 => key.prop_map(Step::Remove),
            2 => millis.prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..100)
    }

    /// What holds, written down without a thought for room.
    type Holding = Vec<(u8, u32, UnixMillis)>;

    fn holding(map: &ExpiringMap<u8, u32>, now: UnixMillis) -> Holding {
        (0..=u8::MAX).filter_map(|key| Some((key, map.get(&key, now)?, map.until(&key, now)?))).collect()
    }

    /// Takes a step on the map and returns what it said; `before` is what held, the rest what should.
    fn check(map: &ExpiringMap<u8, u32>, step: &Step, now: UnixMillis) -> Result<(), TestCaseError> {
        let before = holding(map, now);
        let other = |key: u8| before.iter().copied().filter(move |(other, ..)| *other != key).collect::<Holding>();
        let later = |millis| UnixMillis(now.0 + millis);
        let (key, value, until, kept) = match *step {
            Step::Pass(_) => return Ok(()),
            Step::Remove(key) => {
                map.remove(&key);
                prop_assert_eq!(holding(map, now), other(key), "removing forgets that key and no other");
                return Ok(());
            }
            Step::Insert { key, value, millis } => {
                (key, value, later(millis), map.insert(key, value, later(millis), now))
            }
            Step::Add { key, amount, millis } => {
                let holds = map.get(&key, now);
                let mut sum = amount;
                let kept = map.update(&key, now, |held| {
                    sum = sum.saturating_add(held.unwrap_or(0));
                    (sum, later(millis), held)
                });
                if let (Some(held), Some(_)) = (kept, holds) {
                    prop_assert_eq!(held, holds, "a change is given what holds");
                }
                (key, sum, later(millis), kept.is_some())
            }
        };
        let after = holding(map, now);
        let mut whole = other(key);
        if until > now {
            whole.push((key, value, until));
            whole.sort_unstable();
        }
        match map.when_full {
            WhenFull::Refuse if kept => prop_assert_eq!(after, whole, "what is taken pushes nothing out"),
            WhenFull::Refuse => {
                prop_assert_eq!(before.len(), CAPACITY, "nothing is refused while there is room");
                prop_assert_eq!(after, before, "what is refused changes nothing");
            }
            WhenFull::Evict => {
                prop_assert!(after.iter().all(|entry| whole.contains(entry)), "nothing is made up");
                let gone = whole.iter().filter(|entry| !after.contains(entry));
                for (_, _, until) in gone.clone() {
                    prop_assert!(after.iter().all(|(_, _, other)| until <= other), "what expires first goes");
                }
                prop_assert!(gone.count() <= 1, "one entry makes room for one");
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_map_keeps_what_it_took_until_it_expires_and_stays_within_its_bound(steps in steps()) {
            for map in [ExpiringMap::refusing(CAPACITY), ExpiringMap::evicting(CAPACITY)] {
                let mut now = UnixMillis(1_000);
                for step in &steps {
                    if let Step::Pass(millis) = step {
                        let left: Holding =
                            holding(&map, now).into_iter().filter(|(.., until)| until.0 > now.0 + millis).collect();
                        now = UnixMillis(now.0 + millis);
                        prop_assert_eq!(holding(&map, now), left, "an entry holds until its moment and no longer");
                    }
                    check(&map, step, now)?;
                    prop_assert!(map.len() <= CAPACITY, "a map never has more entries than it may");
                }
            }
        }
    }

    #[test]
    fn full_maps_differ_in_what_they_give_up() {
        let now = UnixMillis(0);
        for (map, newest_first) in [(ExpiringMap::refusing(2), None), (ExpiringMap::evicting(2), Some("second"))] {
            map.insert("a", "first", UnixMillis(10), now);
            map.insert("b", "first", UnixMillis(20), now);
            map.insert("c", "second", UnixMillis(30), now);
            assert_eq!(map.get("c", now), newest_first, "only an evicting map takes what is new while it is full");
        }
        let map = ExpiringMap::refusing(1);
        assert!(map.insert("a", 1, UnixMillis(10), now));
        assert_eq!(map.update(&"b", now, |_| (2, UnixMillis(10), ())), None, "there is no room while `a` holds");
        assert!(map.insert("b", 2, UnixMillis(30), UnixMillis(10)), "what has expired makes room");
        assert_eq!(map.remove("b"), Some(2), "what is removed is handed out, even where it had expired");
    }
}
