//! The memory of an isolate: a map of bounded size in which each entry has its own expiry.

use std::{borrow::Cow, cell::RefCell, collections::BTreeMap, marker::PhantomData};

use super::clock::UnixMillis;

/// A key: its text is unique within its map.
pub trait Key {
    /// That text.
    fn text(&self) -> Cow<'_, str>;
}

impl Key for str {
    fn text(&self) -> Cow<'_, str> {
        self.into()
    }
}

/// What a full map does with a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenFull {
    /// It is refused, unless another has expired.
    Refuse,
    /// The entry that expires first is dropped, even if it is the new one.
    Evict,
}

/// A bounded map whose entries expire.
///
/// It lends nothing out: values are copied, so that nothing stays borrowed across an `await`.
pub struct ExpiringMap<K: ?Sized, V> {
    entries: RefCell<Entries<V>>,
    keys: PhantomData<fn(&K)>,
}

/// The values, each at its key's place in the index.
struct Entries<V> {
    index: Index,
    values: Vec<Option<V>>,
}

/// Place and expiry of each key's value. It is not generic: a tree for each type of key and value would be 15 KiB of the
/// Worker.
struct Index {
    capacity: usize,
    when_full: WhenFull,
    places: BTreeMap<String, Place>,
    /// Free places.
    free: Vec<usize>,
    /// Places that became free and whose values are still there.
    dropped: Vec<usize>,
    /// How many places there are.
    count: usize,
}

#[derive(Clone, Copy)]
struct Place {
    at: usize,
    until: UnixMillis,
}

impl Index {
    /// Whether a key has a place or can get one, if need be by dropping expired entries.
    fn makes_room(&mut self, key: &str, now: UnixMillis) -> bool {
        if self.when_full == WhenFull::Evict || self.places.len() < self.capacity || self.places.contains_key(key) {
            return true;
        }
        self.retain(&mut |_, place| place.until > now);
        self.places.len() < self.capacity
    }

    /// The place of a key, a new one if it had none. `None`: this entry expires first and was dropped.
    fn put(&mut self, key: &str, until: UnixMillis) -> Option<usize> {
        if let Some(place) = self.places.get_mut(key) {
            place.until = until;
            return Some(place.at);
        }
        if self.places.len() >= self.capacity {
            let first = self.places.iter().min_by_key(|(_, place)| place.until);
            let first = first.filter(|(_, place)| place.until <= until).map(|(key, _)| key.clone())?;
            self.remove(&first);
        }
        let at = self.dropped.pop().or_else(|| self.free.pop()).unwrap_or(self.count);
        self.count = self.count.max(at + 1);
        self.places.insert(key.to_owned(), Place { at, until });
        Some(at)
    }

    fn remove(&mut self, key: &str) -> Option<usize> {
        let Place { at, .. } = self.places.remove(key)?;
        self.dropped.push(at);
        Some(at)
    }

    fn retain(&mut self, keeps: &mut dyn FnMut(&str, Place) -> bool) {
        let dropped = &mut self.dropped;
        self.places.retain(|key, place| {
            let stays = keeps(key, *place);
            if !stays {
                dropped.push(place.at);
            }
            stays
        });
    }
}

impl<V: Clone> Entries<V> {
    /// The value of a key, expired or not.
    fn kept(&self, key: &str) -> Option<(UnixMillis, V)> {
        let place = self.index.places.get(key)?;
        Some((place.until, self.values.get(place.at)?.clone()?))
    }

    fn put(&mut self, key: &str, value: V, until: UnixMillis) -> bool {
        let Some(at) = self.index.put(key, until) else { return false };
        if self.values.len() <= at {
            self.values.resize_with(at + 1, || None);
        }
        if let Some(place) = self.values.get_mut(at) {
            *place = Some(value);
        }
        self.drop_unused();
        true
    }

    /// Costs what was dropped since the last time, and not what is free: a flood of keys must not make each insertion slow.
    fn drop_unused(&mut self) {
        for at in std::mem::take(&mut self.index.dropped) {
            if let Some(value) = self.values.get_mut(at) {
                *value = None;
            }
            self.index.free.push(at);
        }
    }
}

impl<K: Key + ?Sized, V: Clone> ExpiringMap<K, V> {
    /// A map that takes nothing new while it is full of unexpired entries, so made-up keys evict nothing.
    pub const fn refusing(capacity: usize) -> Self {
        Self::new(capacity, WhenFull::Refuse)
    }

    /// A map that drops the entry that expires first when it is full.
    pub const fn evicting(capacity: usize) -> Self {
        Self::new(capacity, WhenFull::Evict)
    }

    const fn new(capacity: usize, when_full: WhenFull) -> Self {
        let index =
            Index { capacity, when_full, places: BTreeMap::new(), free: Vec::new(), dropped: Vec::new(), count: 0 };
        Self { entries: RefCell::new(Entries { index, values: Vec::new() }), keys: PhantomData }
    }

    /// The value of a key, unless it expired.
    pub fn get(&self, key: &K, now: UnixMillis) -> Option<V> {
        self.entries.borrow().kept(&key.text()).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    /// When the entry of a key expires.
    pub fn until(&self, key: &K, now: UnixMillis) -> Option<UnixMillis> {
        let entries = self.entries.borrow();
        entries.index.places.get(key.text().as_ref()).map(|place| place.until).filter(|until| *until > now)
    }

    /// Sets the value of a key and its expiry. Returns whether there was room.
    pub fn insert(&self, key: &K, value: V, until: UnixMillis, now: UnixMillis) -> bool {
        let (key, mut entries) = (key.text(), self.entries.borrow_mut());
        entries.index.makes_room(&key, now) && entries.put(&key, value, until)
    }

    /// Changes the value of a key, or sets its first. `change` gets the old value, even if expired, and returns the new one
    /// with its expiry. `None`: there is no room, and `change` was not called.
    pub fn update<R>(
        &self,
        key: &K,
        now: UnixMillis,
        change: impl FnOnce(Option<V>) -> (V, UnixMillis, R),
    ) -> Option<R> {
        let (key, mut entries) = (key.text(), self.entries.borrow_mut());
        if !entries.index.makes_room(&key, now) {
            return None;
        }
        let (value, until, result) = change(entries.kept(&key).map(|(_, value)| value));
        entries.put(&key, value, until);
        Some(result)
    }

    /// Forgets a key and returns its value, even if expired.
    pub fn remove(&self, key: &K) -> Option<V> {
        let mut entries = self.entries.borrow_mut();
        let at = entries.index.remove(&key.text())?;
        entries.values.get_mut(at)?.take()
    }

    /// Forgets all keys but those whose text `keeps` says.
    pub fn retain(&self, mut keeps: impl FnMut(&str) -> bool) {
        let mut entries = self.entries.borrow_mut();
        entries.index.retain(&mut |key, _| keeps(key));
        entries.drop_unused();
    }

    /// How many entries take up room, expired ones among them.
    pub fn len(&self) -> usize {
        self.entries.borrow().index.places.len()
    }

    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPACITY: usize = 4;

    impl Key for u8 {
        fn text(&self) -> Cow<'_, str> {
            self.to_string().into()
        }
    }

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

    /// The unexpired entries, modelled without a bound.
    type Holding = Vec<(u8, u32, UnixMillis)>;

    fn holding(map: &ExpiringMap<u8, u32>, now: UnixMillis) -> Holding {
        (0..=u8::MAX).filter_map(|key| Some((key, map.get(&key, now)?, map.until(&key, now)?))).collect()
    }

    /// Takes a step on the map and returns its result; `before` is the state before it, the rest the expected one.
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
                (key, value, later(millis), map.insert(&key, value, later(millis), now))
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
        match map.entries.borrow().index.when_full {
            WhenFull::Refuse if kept => prop_assert_eq!(after, whole, "an accepted entry evicts nothing"),
            WhenFull::Refuse => {
                prop_assert_eq!(before.len(), CAPACITY, "nothing is refused while there is room");
                prop_assert_eq!(after, before, "a refused entry changes nothing");
            }
            WhenFull::Evict => {
                prop_assert!(after.iter().all(|entry| whole.contains(entry)), "nothing is made up");
                let gone = whole.iter().filter(|entry| !after.contains(entry));
                for (_, _, until) in gone.clone() {
                    prop_assert!(
                        after.iter().all(|(_, _, other)| until <= other),
                        "the entry that expires first is dropped"
                    );
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
        for (map, newest_first) in
            [(ExpiringMap::<str, _>::refusing(2), None), (ExpiringMap::evicting(2), Some("second"))]
        {
            map.insert("a", "first", UnixMillis(10), now);
            map.insert("b", "first", UnixMillis(20), now);
            map.insert("c", "second", UnixMillis(30), now);
            assert_eq!(map.get("c", now), newest_first, "only an evicting map takes a new entry while it is full");
        }
        let map = ExpiringMap::<str, _>::refusing(1);
        assert!(map.insert("a", 1, UnixMillis(10), now));
        assert_eq!(map.update("b", now, |_| (2, UnixMillis(10), ())), None, "there is no room while `a` holds");
        assert!(map.insert("b", 2, UnixMillis(30), UnixMillis(10)), "an expired entry makes room");
        assert_eq!(map.remove("b"), Some(2), "a removed value is returned, even if expired");
    }
}
