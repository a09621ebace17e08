//! Who may try an API key at TiDB Cloud: the witness of all keys that callers choose, on `/mcp` as on the pages.
//!
//! TiDB Cloud's verdict on a key counts, exchange by exchange; the key's own object ([`crate::store::key`]) keeps the
//! record. A pair that this isolate knows to be accepted needs no call. Any other asks its object, once in ten minutes for
//! each isolate: one call that only reads if the object knows the pair. If it does not, there is one call at the door, one
//! that counts the try, and, unless TiDB Cloud refused it, one that reports the verdict. The object writes for the last two,
//! and once in 23 hours for a pair in use.
//!
//! Keys inside grants are neither held up nor counted: TiDB Cloud accepted them when they were granted, their holder cannot
//! choose them, and the holder of a grant with a deleted key must not keep others from trying that public key. TiDB Cloud's
//! acceptance of them is noted, so that their owner passes elsewhere. Of the owner's key, a setting, nothing is noted.
//!
//! The witness also holds back requests beyond the limit of a pair ([`Limited::Upstream`]). Only a pair that TiDB Cloud took is
//! counted, by both its halves: a wrong half spends nothing of the owner's. The request by which an unknown pair turns out to be right
//! is counted after it.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use super::{keys::Limited, lease::Permits, spread, wait_seconds};
use crate::{
    base::{
        clock::UnixMillis,
        expiring::{ExpiringMap, Key},
        future::Pending,
    },
    config::Config,
    port::{Io, LimitState, Port, StorageFailure, Store},
    store::{
        key::{Command, Guess, Reply, Said, Try},
        object::{self, ObjectName},
        seal::{Keyring, base64url},
    },
    tidbcloud::{ApiKey, KeyTry, KeyVerdict, KeyWitness, NotTried},
};

/// How long an isolate knows a pair. One that is deleted meanwhile is shown to TiDB Cloud once more by each that knows it.
const KNOWN: Duration = Duration::from_secs(600);
/// How long an isolate believes that a public key may be tried from an address, unless it hears a refusal: a client that only
/// lists tools, again and again, then costs one call in ten seconds. Each exchange with TiDB Cloud asks for itself.
const OPEN: Duration = Duration::from_secs(10);
/// A call that sends a second request to TiDB Cloud often sends some more: to look, to make a SQL user, to wait.
const MORE: u32 = 4;
/// 10,000 hashes of 43 bytes are 1 MB of an isolate's 128, with what holds them.
const PAIRS_MAX: usize = 10_000;

/// Keyed hash of both halves of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair(String);

impl Key for Pair {
    fn text(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }
}

/// The object of a key and who may try it, in one text. Neither has a line break.
fn opening(name: &ObjectName, from: &str) -> String {
    format!("{}\n{from}", name.as_str())
}

/// Pairs that this isolate knows. Those that were taken have a map of their own, which made-up ones cannot fill.
pub struct Pairs {
    seen: ExpiringMap<Pair, ()>,
    /// Objects of keys that may be tried, and by whom: [`opening`].
    open: ExpiringMap<str, ()>,
    /// Whether the pair is to be reported to its object again.
    taken: ExpiringMap<Pair, Renew>,
    /// Requests that taken pairs may send.
    requests: Permits,
}

/// Whether TiDB Cloud's acceptance of a pair is to be reported to its object again.
type Renew = bool;

impl Default for Pairs {
    fn default() -> Self {
        Self {
            seen: ExpiringMap::refusing(PAIRS_MAX),
            open: ExpiringMap::refusing(PAIRS_MAX),
            taken: ExpiringMap::refusing(PAIRS_MAX),
            requests: Permits::default(),
        }
    }
}

impl Pairs {
    /// Whether this isolate saw the pair within ten minutes.
    pub fn has_seen(&self, pair: &Pair, now: UnixMillis) -> bool {
        self.seen.until(pair, now).is_some()
    }

    /// Remembers that it was.
    pub fn remember(&self, pair: &Pair, now: UnixMillis) {
        self.seen.insert(pair, (), now.after(KNOWN), now);
    }

    fn is_open(&self, name: &ObjectName, from: &str, now: UnixMillis) -> bool {
        self.open.until(&opening(name, from), now).is_some()
    }

    fn remember_open(&self, name: &ObjectName, from: &str, now: UnixMillis) {
        self.open.insert(&opening(name, from), (), now.after(OPEN), now);
    }

    fn forget_open(&self, name: &ObjectName) {
        let of_it = opening(name, "");
        self.open.retain(|open| !open.starts_with(&of_it));
    }

    fn taken(&self, pair: &Pair, now: UnixMillis) -> Option<Renew> {
        self.taken.get(pair, now)
    }

    fn remember_taken(&self, pair: &Pair, now: UnixMillis, renew: Renew) {
        self.taken.insert(pair, renew, now.after(KNOWN), now);
    }

    /// Forgets an accepted pair. Returns whether it was known.
    fn forget_taken(&self, pair: &Pair) -> bool {
        self.taken.remove(pair).is_some()
    }
}

/// Whether a key may be tried.
pub enum Standing {
    /// It may: TiDB Cloud accepted it lately, or did not refuse its public half too often.
    MayTry,
    /// Its public half was refused too often; milliseconds until it may be tried again.
    Held(u64),
}

/// Who chose keys.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Keyed hash of the client's address.
    pub from: &'a str,
    /// How many refusals of a public key it may have within a minute.
    pub refusals_max: u32,
}

/// Watches over keys for one request.
pub struct Witness<'a> {
    port: Port<'a>,
    io: &'a dyn Io,
    store: &'a dyn Store,
    config: &'a Config,
    keyring: &'a Keyring,
    pairs: &'a Pairs,
    /// Who chose the keys; `None` if they were granted.
    source: Option<Source<'a>>,
    /// Whether this request has sent one to TiDB Cloud.
    has_sent: Cell<bool>,
    /// Whether TiDB Cloud's verdicts are noted in the key's object.
    notes: bool,
    /// Pairs that were held up in this request, with the seconds to wait: the rest of the request does not ask again.
    held: RefCell<BTreeMap<Pair, u64>>,
}

impl<'a> Witness<'a> {
    /// The witness of keys that a caller chose.
    pub fn of_chosen(
        port: Port<'a>,
        config: &'a Config,
        keyring: &'a Keyring,
        pairs: &'a Pairs,
        source: Source<'a>,
    ) -> Self {
        Self { source: Some(source), ..Self::of_granted(port, config, keyring, pairs) }
    }

    /// The witness of keys inside a grant.
    pub fn of_granted(port: Port<'a>, config: &'a Config, keyring: &'a Keyring, pairs: &'a Pairs) -> Self {
        let (io, store, held) = (port.io, port.store, RefCell::default());
        Self { port, io, store, config, keyring, pairs, source: None, has_sent: Cell::new(false), notes: true, held }
    }

    /// The witness of the owner's key.
    pub fn of_owned(port: Port<'a>, config: &'a Config, keyring: &'a Keyring, pairs: &'a Pairs) -> Self {
        Self { notes: false, ..Self::of_granted(port, config, keyring, pairs) }
    }

    /// What a pair is called here.
    pub fn pair(&self, key: &ApiKey) -> Pair {
        Pair(base64url(&self.keyring.mac("pair of a key v1", &halves(key))))
    }

    /// Whether this isolate knows that TiDB Cloud accepts a pair.
    pub fn is_taken(&self, pair: &Pair) -> bool {
        self.pairs.taken(pair, self.io.now()).is_some()
    }

    /// Whether this isolate or the key's object knows that TiDB Cloud accepts it.
    pub async fn knows(&self, key: &ApiKey) -> bool {
        let pair = self.pair(key);
        self.is_taken(&pair) || self.look(key).await.is_ok() && self.is_taken(&pair)
    }

    /// Whether a key may be tried, without counting anything.
    ///
    /// # Errors
    /// Storage did not say.
    pub async fn look(&self, key: &ApiKey) -> Result<Standing, StorageFailure> {
        let reply = self.ask(&self.name(key), Command::Look(self.guess(self.pair(key)))).await?;
        match self.judge(key, reply).await? {
            Reply::Held(millis) => Ok(Standing::Held(millis)),
            _ => Ok(Standing::MayTry),
        }
    }

    /// Whether a key was found free to be tried within ten seconds.
    pub fn is_open(&self, key: &ApiKey) -> bool {
        self.pairs.is_open(&self.name(key), self.from(), self.io.now())
    }

    /// Remembers that it was.
    pub fn remember_open(&self, key: &ApiKey) {
        self.pairs.remember_open(&self.name(key), self.from(), self.io.now());
    }

    fn from(&self) -> &'a str {
        self.source.map(|source| source.from).unwrap_or_default()
    }

    /// Takes a reply for what it says of the pair. One that is held up may have been taken before the server secret was
    /// replaced: then another object knows it.
    async fn judge(&self, key: &ApiKey, reply: Reply) -> Result<Reply, StorageFailure> {
        let renew = match reply {
            Reply::Known(renew) => renew,
            Reply::Held(_) if self.was_taken_before(key).await? => true,
            other => return Ok(other),
        };
        self.pairs.remember_taken(&self.pair(key), self.io.now(), renew);
        Ok(Reply::Known(renew))
    }

    async fn was_taken_before(&self, key: &ApiKey) -> Result<bool, StorageFailure> {
        for (name, pair) in self.names(key).into_iter().skip(1) {
            if let Reply::Known(_) = self.ask(&name, Command::Look(self.guess(pair))).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn try_key(&self, key: &ApiKey) -> Result<KeyTry, NotTried> {
        let pair = self.pair(key);
        if self.source.is_none() || self.is_taken(&pair) {
            return Ok(KeyTry { counted: None, is_known: true });
        }
        if let Some(seconds) = self.held.borrow().get(&pair) {
            return Err(NotTried::Limited { retry_after_seconds: *seconds });
        }
        let reply = self.ask(&self.name(key), Command::Try(self.guess(pair.clone()))).await;
        let reply = match reply {
            Ok(reply) => self.judge(key, reply).await,
            Err(failure) => Err(failure),
        };
        match reply {
            Ok(Reply::Known(_)) => Ok(KeyTry { counted: None, is_known: true }),
            Ok(Reply::Open(at)) => Ok(KeyTry { counted: Some(UnixMillis(at)), is_known: false }),
            Ok(Reply::Held(millis)) => {
                let retry_after_seconds = wait_seconds(millis);
                self.held.borrow_mut().insert(pair, retry_after_seconds);
                Err(NotTried::Limited { retry_after_seconds })
            }
            Ok(Reply::Done) | Err(StorageFailure) => Err(NotTried::Unavailable),
        }
    }

    /// Takes a pair's permit for one request.
    async fn spend(&self, Pair(pair): &Pair) -> Result<(), u64> {
        let limit = Limited::Upstream(pair).limit(self.config);
        let least = if self.has_sent.replace(true) { MORE } else { 0 };
        let taken = limit.take_one_of(self.port, &self.pairs.requests, least).await;
        if taken.allowed() {
            return Ok(());
        }
        let mut random = [0; 2];
        self.io.random(&mut random);
        Err(wait_seconds(spread(taken.admission.retry_after_millis, u16::from_le_bytes(random))))
    }

    async fn send(&self, key: &ApiKey) -> Result<(), u64> {
        let pair = self.pair(key);
        if self.source.is_some() && !self.is_taken(&pair) {
            return Ok(());
        }
        self.spend(&pair).await
    }

    async fn note(&self, key: &ApiKey, tried: KeyTry, verdict: KeyVerdict) {
        if !self.notes {
            return;
        }
        let pair = self.pair(key);
        let from = self.source.map(|source| source.from.to_owned());
        let counted = tried.counted.zip(from.clone()).map(|(at, from)| Try { at: at.0, from });
        match (verdict, counted) {
            (KeyVerdict::NotAsked, None) => {}
            (KeyVerdict::NotAsked, Some(counted)) => {
                // If this fails, the try stays counted for a minute.
                let _ = self.ask(&self.name(key), Command::TakeBack(counted)).await;
            }
            (KeyVerdict::KeyTaken | KeyVerdict::KeyAnswered, tried) => {
                let now = self.io.now();
                if tried.is_none() && self.pairs.taken(&pair, now).is_some_and(|renew| !renew) {
                    return;
                }
                let (proven, was_unknown) = (verdict == KeyVerdict::KeyTaken, tried.is_some());
                let said = Said { pair: pair.0.clone(), tried };
                let said = if proven { Command::Taken(said) } else { Command::Answered(said) };
                let reply = self.ask(&self.name(key), said).await;
                // If the object did not note it, this isolate at least knows it, and reports it again once it has forgotten.
                if proven || matches!(reply, Ok(Reply::Known(_))) {
                    self.pairs.remember_taken(&pair, now, false);
                    if was_unknown {
                        // Its request was sent already.
                        let _ = self.spend(&pair).await;
                    }
                }
            }
            // It was counted when it was tried.
            (KeyVerdict::KeyRefused, Some(_)) => self.pairs.forget_open(&self.name(key)),
            (KeyVerdict::KeyRefused, None) => {
                let known = self.pairs.forget_taken(&pair);
                self.pairs.forget_open(&self.name(key));
                let mut tried = from.map(|from| Try { at: self.io.now().0, from });
                if known || tried.is_some() {
                    for (name, Pair(pair)) in self.names(key) {
                        let _ = self.ask(&name, Command::Refused(Said { pair, tried: tried.take() })).await;
                    }
                }
            }
        }
    }

    fn guess(&self, Pair(pair): Pair) -> Guess {
        let Source { from, refusals_max } = self.source.unwrap_or(Source { from: "", refusals_max: 0 });
        Guess { pair, from: from.to_owned(), refusals_max }
    }

    fn name(&self, key: &ApiKey) -> ObjectName {
        ObjectName::key(&self.keyring.mac("object of a key v1", &[key.public().as_bytes()]))
    }

    /// The key's objects and what its pair is called there, under the current server secret and those before it.
    fn names(&self, key: &ApiKey) -> Vec<(ObjectName, Pair)> {
        let public: [&[u8]; 1] = [key.public().as_bytes()];
        let halves = halves(key);
        let names = self.keyring.macs("object of a key v1", &public).map(|mac| ObjectName::key(&mac));
        let pairs = self.keyring.macs("pair of a key v1", &halves).map(|mac| Pair(base64url(&mac)));
        names.zip(pairs).collect()
    }

    async fn ask(&self, name: &ObjectName, command: Command) -> Result<Reply, StorageFailure> {
        match self.store.object(name, &object::Command::Key(command)).await? {
            object::Reply::Key(reply) => Ok(reply),
            _ => Err(StorageFailure),
        }
    }
}

fn halves(key: &ApiKey) -> [&[u8]; 2] {
    [key.public().as_bytes(), key.private().expose().as_bytes()]
}

impl KeyWitness for Witness<'_> {
    fn may_try<'w>(&'w self, key: &'w ApiKey) -> Pending<'w, Result<KeyTry, NotTried>> {
        Box::pin(self.try_key(key))
    }

    fn may_send<'w>(&'w self, key: &'w ApiKey) -> Pending<'w, Result<(), u64>> {
        Box::pin(self.send(key))
    }

    fn requests_left<'w>(&'w self, key: &'w ApiKey) -> Pending<'w, Option<LimitState>> {
        Box::pin(async {
            let Pair(pair) = self.pair(key);
            Some(Limited::Upstream(&pair).limit(self.config).look(self.port, &self.pairs.requests).await)
        })
    }

    fn heard<'w>(&'w self, key: &'w ApiKey, tried: KeyTry, verdict: KeyVerdict) -> Pending<'w, ()> {
        Box::pin(self.note(key, tried, verdict))
    }
}
