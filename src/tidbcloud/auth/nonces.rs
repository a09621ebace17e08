//! Nonces that wait for their next use.
//!
//! A nonce belongs to the isolate that it was issued to and is used by one request at a time: it is taken out, used,
//! and put back after the answer. Shared between isolates, two of them would send the same count.

use std::time::Duration;

use super::{digest::Nonce, key::Caller};
use crate::base::clock::UnixMillis;

/// 4: a call has at most this many concurrent requests to one host.
const PER_KEY_MAX: usize = 4;
/// 64: 16 callers with 4 nonces each; at about 300 bytes a nonce, 20 KiB of an isolate's 128 MiB.
const TOTAL_MAX: usize = 64;
/// 30 s: how long servers keep a nonce is not published; an expired one costs one more round trip, not an error.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Where a nonce can be used: one protection space (RFC 7616 section 3.3, `domain`), and one caller, because one caller's
/// traffic must not use up the nonces of another.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Space {
    /// Address that all requests of the space start with.
    pub(crate) base: String,
    /// Whose requests.
    pub(crate) caller: Caller,
}

struct Idle {
    space: Space,
    nonce: Nonce,
    since: UnixMillis,
}

/// The waiting nonces, the one put back last at the end.
#[derive(Default)]
pub(crate) struct Nonces(Vec<Idle>);

impl Nonces {
    /// Takes out the nonce that was used last: the server most likely still knows it.
    pub(crate) fn lease(&mut self, space: &Space, now: UnixMillis) -> Option<Nonce> {
        self.0.retain(|idle| now < idle.since.after(IDLE_MAX));
        let at = self.0.iter().rposition(|idle| idle.space == *space)?;
        Some(self.0.remove(at).nonce)
    }

    /// Puts a nonce back after the answer to the request that used it.
    pub(crate) fn put_back(&mut self, space: Space, nonce: Nonce, now: UnixMillis) {
        if !nonce.has_room() {
            return;
        }
        let mine = self.0.iter().filter(|idle| idle.space == space).count();
        let oldest = if mine >= PER_KEY_MAX {
            self.0.iter().position(|idle| idle.space == space)
        } else {
            (self.0.len() >= TOTAL_MAX).then_some(0)
        };
        if let Some(oldest) = oldest {
            self.0.remove(oldest);
        }
        self.0.push(Idle { space, nonce, since: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidbcloud::auth::{
        digest::{Challenge, Request},
        key::ApiKey,
    };

    fn nonce(name: &str) -> Nonce {
        Nonce::new(Challenge::select(&format!("Digest realm=\"r\", nonce=\"{name}\", qop=\"auth\"")).unwrap())
    }

    fn name(nonce: Option<Nonce>) -> Option<String> {
        let request = Request { method: "GET", uri: "/", body: b"", cnonce: "" };
        let signed = nonce?.sign(&key("canary"), &request);
        Some(signed.split("nonce=\"").nth(1)?.split('"').next()?.to_owned())
    }

    fn key(private: &str) -> ApiKey {
        ApiKey::new("SBXOWNER", private).unwrap()
    }

    fn space(base: &str, private: &str) -> Space {
        Space { base: base.to_owned(), caller: key(private).caller() }
    }

    #[test]
    fn a_nonce_is_leased_to_one_request_of_its_own_space() {
        let mut pool = Nonces::default();
        let (here, now) = (space("https://a", "canary"), UnixMillis(0));
        pool.put_back(here.clone(), nonce("one"), now);
        assert!(pool.lease(&space("https://b", "canary"), now).is_none());
        assert!(
            pool.lease(&space("https://a", "canary-other"), now).is_none(),
            "a wrong private key is another caller"
        );
        assert_eq!(name(pool.lease(&here, now)).as_deref(), Some("one"));
        assert!(pool.lease(&here, now).is_none(), "it is out");
    }

    #[test]
    fn idle_nonces_are_forgotten() {
        let mut pool = Nonces::default();
        let here = space("https://a", "canary");
        pool.put_back(here.clone(), nonce("one"), UnixMillis(0));
        pool.put_back(here.clone(), nonce("two"), UnixMillis(10_000));
        assert_eq!(name(pool.lease(&here, UnixMillis(30_000))).as_deref(), Some("two"));
        assert!(pool.lease(&here, UnixMillis(30_000)).is_none());
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = Nonces::default();
        for caller in 0..30 {
            for count in 0..6 {
                let here = space("https://a", &format!("canary-{caller}"));
                pool.put_back(here, nonce(&format!("{caller}-{count}")), UnixMillis(0));
            }
        }
        assert_eq!(pool.0.len(), TOTAL_MAX);
        let last = space("https://a", "canary-29");
        let left: Vec<_> = (0..5).filter_map(|_| name(pool.lease(&last, UnixMillis(1)))).collect();
        assert_eq!(left, ["29-5", "29-4", "29-3", "29-2"]);
    }
}
