//! Holds a caller back, by the limits of its credential.

use std::cell::RefCell;

use crate::{
    base::future::Pending,
    catalogue::Pace,
    config::Config,
    limits::{
        self,
        keys::{CredentialHash, Limited},
        running::Slot,
        spread, wait_seconds,
    },
    port::{Noted, Port},
};

/// The pace of one credential, for one HTTP request.
pub(super) struct Paced<'r> {
    pub(super) port: Port<'r>,
    pub(super) config: &'r Config,
    pub(super) limits: &'r limits::Memory,
    pub(super) credential: CredentialHash,
    pub(super) noted: &'r Noted,
    pub(super) slots: RefCell<Vec<Slot>>,
}

impl Pace for Paced<'_> {
    fn may_change(&self) -> Pending<'_, Result<(), u64>> {
        Box::pin(async {
            let limit = Limited::Write(&self.credential).limit(self.config);
            let taken = limit.take_ahead(self.port, &self.limits.permits).await;
            if taken.allowed() {
                return Ok(());
            }
            self.noted.refused_by.set(Some(taken.name));
            let mut random = [0; 2];
            self.port.io.random(&mut random);
            Err(wait_seconds(spread(taken.admission.retry_after_millis, u16::from_le_bytes(random))))
        })
    }

    fn begins(&self) -> bool {
        let slot = self.limits.running.take(&self.credential, self.port.io.now());
        self.slots.borrow_mut().extend(slot);
        if slot.is_none() {
            self.noted.refused_by.set(Some("running"));
        }
        slot.is_some()
    }

    fn ends(&self) {
        if let Some(slot) = self.slots.borrow_mut().pop() {
            self.limits.running.free(&self.credential, slot, self.port.io.now());
        }
    }
}
