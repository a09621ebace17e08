//! Calls that run at this moment, for each credential.
//!
//! Each isolate counts its own, without a hop. Eight may run in each, so the bound is eight times the number of isolates that serve a
//! credential; a client's connection leads to one. It keeps one credential from taking an isolate's memory and its connections: the
//! limit per credential is what bounds its use of TiDB Cloud.

use std::time::Duration;

use crate::{
    base::{clock::UnixMillis, expiring::ExpiringMap},
    limits::keys::CredentialHash,
    port::{LimitState, allowance},
};

/// Calls of one credential at once.
pub const RUNNING_MAX: usize = 8;
/// A slot is free again after this: the runtime may end an invocation without dropping what it holds.
const SLOT_TIME_MAX: Duration = allowance::TIME_MAX.saturating_add(Duration::from_secs(5));
/// 10,000 credentials with slots of 64 bytes are 2 MB of an isolate's 128, with what holds them.
const CREDENTIALS_MAX: usize = 10_000;

/// The ends of the slots of each credential; the past is a free slot.
type Slots = [UnixMillis; RUNNING_MAX];

/// An isolate's count of calls that run.
pub struct Running(ExpiringMap<str, Slots>);

/// A slot that is in use.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    index: usize,
    end: UnixMillis,
}

impl Default for Running {
    fn default() -> Self {
        Self(ExpiringMap::refusing(CREDENTIALS_MAX))
    }
}

impl Running {
    /// Takes a slot. `None` if all are in use.
    pub fn take(&self, credential: &CredentialHash, now: UnixMillis) -> Option<Slot> {
        let end = now.after(SLOT_TIME_MAX);
        let taken = self.0.update(credential.as_str(), now, |slots| {
            let mut slots = slots.unwrap_or([UnixMillis(0); RUNNING_MAX]);
            let free = slots.iter_mut().enumerate().find(|(_, end)| is_free(**end, now));
            let slot = free.map(|(index, slot)| {
                *slot = end;
                Slot { index, end }
            });
            (slots, end, slot)
        });
        taken.flatten()
    }

    /// How many can run, and how many more at this moment.
    pub fn look(&self, credential: &CredentialHash, now: UnixMillis) -> LimitState {
        let slots = self.0.get(credential.as_str(), now).unwrap_or([UnixMillis(0); RUNNING_MAX]);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let free = slots.iter().filter(|end| is_free(**end, now)).count();
        LimitState { left: Some(count(free)), at_once: count(RUNNING_MAX), a_minute: None }
    }

    /// Frees a slot.
    pub fn free(&self, credential: &CredentialHash, slot: Slot, now: UnixMillis) {
        let Some(mut slots) = self.0.get(credential.as_str(), now) else { return };
        // After its end it may be another's.
        if let Some(end) = slots.get_mut(slot.index).filter(|end| **end == slot.end) {
            *end = UnixMillis(0);
        }
        match slots.iter().max() {
            Some(last) if *last > now => drop(self.0.insert(credential.as_str(), slots, *last, now)),
            _ => drop(self.0.remove(credential.as_str())),
        }
    }
}

/// Whether a slot with this end is free. One that would be in use for longer was taken before the clock stepped back.
fn is_free(end: UnixMillis, now: UnixMillis) -> bool {
    !(1..=u64::try_from(SLOT_TIME_MAX.as_millis()).unwrap_or(u64::MAX)).contains(&end.0.saturating_sub(now.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::secret::Secret, store::seal::Keyring};

    #[test]
    fn eight_run_at_once_and_a_call_that_never_ends_holds_its_slot_for_a_minute() {
        let keyring = Keyring::new(Secret::new("canary-secret-0123456789-0123456789"), []);
        let (ours, theirs) = (CredentialHash::of_owner(&keyring), CredentialHash::of_grant("another", &keyring));
        let (running, now) = (Running::default(), UnixMillis(1_000));
        let slots: Vec<Slot> = std::iter::from_fn(|| running.take(&ours, now)).collect();
        assert_eq!(slots.len(), RUNNING_MAX, "all slots are taken, and no more");
        assert!(running.take(&theirs, now).is_some(), "another credential has slots of its own");
        assert_eq!(running.look(&ours, now).left, Some(0), "who looks sees that all are in use");
        running.free(&ours, slots[3], now);
        running.free(&ours, slots[3], now);
        assert_eq!(running.look(&ours, UnixMillis(2_000)).left, Some(1), "and which is free again");
        let next = running.take(&ours, UnixMillis(2_000)).expect("a freed slot is free");
        assert!(running.take(&ours, UnixMillis(2_000)).is_none(), "it is freed once");
        running.free(&ours, slots[3], UnixMillis(2_000));
        assert!(running.take(&ours, UnixMillis(2_000)).is_none(), "one that ended late frees nobody else's slot");
        running.free(&ours, next, UnixMillis(2_000));
        let later = now.after(SLOT_TIME_MAX);
        let slots = std::iter::from_fn(|| running.take(&ours, later)).count();
        assert_eq!(slots, RUNNING_MAX, "slots that nobody freed end by themselves");
    }
}
