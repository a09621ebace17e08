//! A grant: what one person allowed one client. Its whole life is here, as a pure state machine; a Durable Object keeps
//! the state and takes one command after the other, so that of two clients with one code only one gets tokens.
//!
//! The stored record is worth nothing by itself: tokens as SHA-256, keys as ciphertext under a data key, the data key
//! wrapped under keys derived from a token and the server secret.

use serde::{Deserialize, Serialize};

use super::seal::{Sealed, same};
use crate::base::{clock::UnixMillis, scope::Scope};

/// The client that asked for a code redeems it at once.
pub const CODE_MILLIS: u64 = 60_000;
/// An access token that cannot destroy lives an hour.
pub const ACCESS_SECONDS: u64 = 3_600;
/// One that can destroy lives a quarter of that.
pub const ACCESS_DESTROY_SECONDS: u64 = 900;
/// A grant that is not used for 30 days ends.
pub const IDLE_MILLIS: u64 = 30 * DAY_MILLIS;
/// No grant lives longer than 90 days.
pub const LIFE_MILLIS: u64 = 90 * DAY_MILLIS;
/// For half a minute the answer to a refresh is given again: it may have been lost, and clients refresh in parallel.
pub const REPLAY_MILLIS: u64 = 30_000;
/// How long after a call that it did not cover a grant can be widened: as long as the page lives on which a person decides that. A
/// client opens the page at once, and a link that somebody kept leads to nothing but the ordinary page.
pub const LACKS_MILLIS: u64 = 600_000;
/// A refused call is noted at most this often, so that many of them cost a write a minute, and of the ten minutes at least nine
/// are left after the last.
pub const NOTED_MILLIS: u64 = 60_000;
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;
/// Access tokens that are valid beside each other: refreshing early leaves the older one to those who have it.
const ACCESS_MAX: usize = 4;
/// The last use is written down at most this often: a write costs more than the reading does.
const USED_MILLIS: u64 = 60_000;

/// The stored record of a grant. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form.
    pub v: u8,
    /// Whose it is.
    pub client: Client,
    /// The resource of its tokens: the address of the MCP endpoint (RFC 8707).
    pub resource: String,
    /// The scope that the person allowed.
    pub scope: StoredScope,
    /// Keyed hash of the person who allowed it.
    pub subject: String,
    /// When; of a wider grant, when the keys were given that it has, so that it ends no later than the one that it replaces.
    pub created: u64,
    /// When it was last used, within a minute.
    pub used: u64,
    /// Keyed hash of the access key, on an owner's deployment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<String>,
    /// SHA-256 of the secret in the cookie of the browser that it was allowed in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub browser: Option<String>,
    /// The data key, wrapped under that secret, if the grant can be widened without the keys.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step_up: Option<Sealed>,
    /// When a call last asked for more than its token may; 0 if none did.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub lacks: u64,
    /// Id of the grant that ends when the code of this one is redeemed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replaces: Option<String>,
    /// Who is asked, for the page that lists grants. What counts is sealed in the contents.
    #[serde(skip_serializing_if = "Presence::is_any", default)]
    pub presence: Presence,
    /// Keys for TiDB Cloud, sealed.
    pub contents: Sealed,
    /// The code that began it.
    pub code: Code,
    /// Access tokens that are valid, or were when the grant was last used; the newest last.
    pub access: Vec<Access>,
    /// The refresh token that is valid.
    pub refresh: Option<Refresh>,
    /// The refresh token that was replaced last, while its answer can be repeated.
    pub replaced: Option<Replaced>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so; only where a pointer has 64 bits")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A client as a grant remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// What it called itself.
    pub name: String,
    /// Where its answer was sent, exactly.
    pub redirect_uri: String,
}

/// A scope as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoredScope(pub Scope);

impl TryFrom<String> for StoredScope {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Scope::parse(&text).map(Self).ok_or("not a scope")
    }
}

impl From<StoredScope> for String {
    fn from(scope: StoredScope) -> Self {
        scope.0.as_str().to_owned()
    }
}

/// Who is asked before a call of a grant destroys something or makes it cost more. Whatever lets somebody in or data out is asked
/// about in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// The person, through the client's own form if it has one, else on a page of this server.
    #[default]
    Any,
    /// The person, on a page of this server only: a client could fill in its own form.
    Page,
    /// Nobody.
    Absent,
}

impl Presence {
    /// Whether nobody chose anything.
    pub fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// An authorization code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// SHA-256 of its secret. Kept after use, so that a second use is seen.
    pub hash: String,
    /// PKCE's S256 challenge (RFC 7636 section 4.2).
    pub challenge: String,
    /// When it can no longer be redeemed.
    pub ends: u64,
    /// The data key; gone once the code was redeemed.
    pub wrapped: Option<Sealed>,
}

/// An access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// SHA-256 of its secret.
    pub hash: String,
    /// What it may do: as much as the grant, or less where the client asked for less.
    pub scope: StoredScope,
    /// Query of the resource that the client named when it asked for this token, if that narrows the tools.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub view: String,
    /// When it ends.
    pub ends: u64,
    /// The data key.
    pub wrapped: Sealed,
}

/// A refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// SHA-256 of its secret.
    pub hash: String,
    /// SHA-256 of the common start of all refresh tokens of this grant.
    pub family: String,
    /// When it ends.
    pub ends: u64,
    /// The data key.
    pub wrapped: Sealed,
}

/// A refresh token that was exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// SHA-256 of its secret.
    pub hash: String,
    /// Until when its answer can be repeated.
    pub ends: u64,
    /// That answer, sealed under the token itself.
    pub answer: Sealed,
}

/// A new pair of tokens, without the tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The access token.
    pub access: Access,
    /// The refresh token; where it ends is this module's to say.
    pub refresh: Refresh,
}

/// Commands to a grant. Tokens are named by their SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Begin.
    Create(Box<Record>),
    /// What is needed to redeem a code.
    OpenCode {
        /// The code.
        hash: String,
        /// Who has it.
        client_id: String,
    },
    /// Redeem a code.
    Redeem {
        /// The code.
        hash: String,
        /// Who has it.
        client_id: String,
        /// Where it was sent.
        redirect_uri: String,
        /// S256 of the verifier.
        challenge: String,
        /// What to give for it.
        pair: Box<Pair>,
    },
    /// What is needed to serve a call.
    Use {
        /// The access token.
        hash: String,
    },
    /// What is needed to refresh.
    OpenRefresh {
        /// The refresh token.
        hash: String,
        /// Its family.
        family: String,
        /// Who has it.
        client_id: String,
    },
    /// Exchange a refresh token.
    Rotate {
        /// The refresh token.
        hash: String,
        /// Who has it.
        client_id: String,
        /// What to give for it.
        pair: Box<Pair>,
        /// The newly sealed contents, if they changed.
        contents: Option<Sealed>,
        /// The answer, sealed under the token.
        answer: Sealed,
    },
    /// Revoke a token, if its client asks (RFC 7009 section 2.1). A refresh token takes the grant with it, however often it
    /// was replaced, and so does the code: nothing that came of it goes on (RFC 6749 section 10.5). An access token goes
    /// alone, which the RFC leaves open: a client that refreshed early and puts the older token away goes on.
    Revoke {
        /// The token.
        hash: String,
        /// Its family, if it is a refresh token.
        #[serde(default)]
        family: Option<String>,
        /// Who has it.
        client_id: String,
    },
    /// End: the person said so, and was checked.
    End,
    /// What the person is shown.
    Describe,
    /// Whether it was allowed in the browser with this secret.
    Prove {
        /// The secret.
        hash: String,
    },
    /// A call asked for more than its token may.
    Lacks,
    /// The person does not allow more: the calls that asked for it count no longer.
    Declined,
    /// What is needed to widen it, for the browser that it was allowed in.
    StepUp {
        /// The secret.
        hash: String,
        /// Who asks.
        client_id: String,
        /// Where the answer would be sent.
        redirect_uri: String,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It was done.
    Done,
    /// It does not exist: it never did, has ended, or is another client's. The reply is the same.
    Unknown,
    /// It was used before. The grant has ended.
    Reused,
    /// What was asked for.
    Opened(Box<Opened>),
    /// The refresh token was exchanged moments ago: the same answer again.
    Again(Sealed),
    /// What the person is shown.
    Described {
        /// What is allowed.
        scope: StoredScope,
        /// When it was last used.
        used: u64,
        /// Who is asked.
        presence: Presence,
    },
    /// It was allowed in that browser.
    Proved {
        /// Keyed hash of the access key, on an owner's deployment.
        owner: Option<String>,
    },
    /// It was allowed in that browser for that client, and takes the keys again.
    NotWidened {
        /// What is allowed.
        scope: StoredScope,
        /// Who is asked.
        presence: Presence,
        /// Whether it could be widened if a call had been refused lately.
        is_late: bool,
    },
}

/// The session of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The client.
    pub client: Client,
    /// What the token may do.
    pub scope: StoredScope,
    /// Query of the resource that an access token was asked for; empty for other tokens.
    #[serde(default)]
    pub view: String,
    /// What the grant is for.
    pub resource: String,
    /// Who allowed it.
    pub subject: String,
    /// Keyed hash of the access key, on an owner's deployment.
    pub owner: Option<String>,
    /// The data key, wrapped under the token.
    pub wrapped: Sealed,
    /// What the data key opens.
    pub contents: Sealed,
    /// The challenge of a code; empty for other tokens.
    pub challenge: String,
    /// When the keys were given.
    #[serde(default)]
    pub created: u64,
    /// When a call last asked for more than its token may; 0 if none did.
    #[serde(default)]
    pub lacks: u64,
    /// Id of the grant that ends when a code is redeemed.
    #[serde(default)]
    pub replaces: Option<String>,
}

impl Opened {
    /// What the contents are bound to.
    pub fn bound_to(&self, grant: &str) -> String {
        bound_to(grant, &self.subject, &self.client.id, &self.resource)
    }
}

/// The associated data of a grant's contents: they open for this grant, person, client and resource only.
pub fn bound_to(grant: &str, subject: &str, client_id: &str, resource: &str) -> String {
    format!("v1|{grant}|{subject}|{client_id}|{resource}")
}

impl Record {
    /// When it ends by itself.
    pub fn ends(&self) -> UnixMillis {
        let life = self.created.saturating_add(LIFE_MILLIS);
        UnixMillis(match &self.refresh {
            Some(refresh) => refresh.ends.min(life),
            None => self.code.ends,
        })
    }

    /// When the next part of it ends: a token, an answer that could be repeated, or all of it.
    pub fn due(&self) -> UnixMillis {
        let parts = self.access.iter().map(|access| access.ends);
        let parts = parts.chain(self.replaced.as_ref().map(|replaced| replaced.ends));
        UnixMillis(parts.fold(self.ends().0, u64::min))
    }

    /// What is left of it at this time.
    pub fn at(mut self, now: UnixMillis) -> Option<Self> {
        self.forget_ended(now.0);
        (self.ends() > now).then_some(self)
    }

    fn opened(&self, scope: StoredScope, view: &str, wrapped: &Sealed, challenge: &str) -> Reply {
        Reply::Opened(Box::new(Opened {
            client: self.client.clone(),
            scope,
            view: view.to_owned(),
            resource: self.resource.clone(),
            subject: self.subject.clone(),
            owner: self.owner.clone(),
            wrapped: wrapped.clone(),
            contents: self.contents.clone(),
            challenge: challenge.to_owned(),
            created: self.created,
            lacks: self.lacks,
            replaces: self.replaces.clone(),
        }))
    }

    /// What opens it for the browser that it was allowed in, within ten minutes of a call that was refused.
    fn widened(&self, now: u64, hash: &str, client_id: &str, redirect_uri: &str) -> Reply {
        let is_proved = self.browser.as_ref().is_some_and(|browser| same(browser, hash));
        // Before its code is redeemed, nothing was allowed that could be widened.
        if !is_proved || self.client.id != client_id || self.refresh.is_none() {
            return Reply::Unknown;
        }
        let is_late = now.saturating_sub(self.lacks) >= LACKS_MILLIS;
        match &self.step_up {
            Some(_) if self.client.redirect_uri != redirect_uri => Reply::Unknown,
            Some(wrapped) if !is_late => self.opened(self.scope, "", wrapped, ""),
            kept => Reply::NotWidened { scope: self.scope, presence: self.presence, is_late: kept.is_some() },
        }
    }

    /// Forgets ended tokens, so that an expired token opens nothing, even for somebody with the storage and the server secret.
    /// A replaced refresh token is then recognised by its family.
    fn forget_ended(&mut self, now: u64) {
        self.access.retain(|access| access.ends > now);
        self.replaced = self.replaced.take().filter(|replaced| replaced.ends > now);
    }

    fn take(&mut self, pair: Pair, now: u64) {
        while self.access.len() >= ACCESS_MAX {
            self.access.remove(0);
        }
        self.access.push(pair.access);
        self.refresh = Some(Refresh { ends: now.saturating_add(IDLE_MILLIS), ..pair.refresh });
        self.used = now;
    }
}

/// Takes one command. `None` is a grant that is not there, before and after.
pub fn step(stored: Option<Record>, now: UnixMillis, command: Command) -> (Option<Record>, Reply) {
    let Some(mut record) = stored.and_then(|record| record.at(now)) else {
        return match command {
            Command::Create(record) => (Some(*record), Reply::Done),
            _ => (None, Reply::Unknown),
        };
    };
    let now = now.0;
    match command {
        // Two random ids that are the same do not happen; what is there stays.
        Command::Create(_) => (Some(record), Reply::Unknown),
        Command::OpenCode { hash, client_id } => open_code(record, now, &hash, &client_id),
        Command::Redeem { hash, client_id, redirect_uri, challenge, pair } => {
            let fits = record.client.redirect_uri == redirect_uri && same(&record.code.challenge, &challenge);
            match open_code(record, now, &hash, &client_id) {
                (Some(mut record), Reply::Opened(_)) if fits => {
                    record.code.wrapped = None;
                    record.take(*pair, now);
                    (Some(record), Reply::Done)
                }
                (record, Reply::Opened(_)) => (record, Reply::Unknown),
                refused => refused,
            }
        }
        Command::Use { hash } => {
            let access = record.access.iter().find(|access| same(&access.hash, &hash));
            let Some(access) = access else { return (Some(record), Reply::Unknown) };
            let reply = record.opened(access.scope, &access.view, &access.wrapped, "");
            if now.saturating_sub(record.used) >= USED_MILLIS {
                record.used = now;
            }
            (Some(record), reply)
        }
        Command::OpenRefresh { hash, family, client_id } => open_refresh(record, &hash, Some(&family), &client_id),
        Command::Rotate { hash, client_id, pair, contents, answer } => {
            match open_refresh(record, &hash, None, &client_id) {
                (Some(mut record), Reply::Opened(_)) => {
                    record.replaced = Some(Replaced { hash, ends: now.saturating_add(REPLAY_MILLIS), answer });
                    record.contents = contents.unwrap_or(record.contents);
                    record.take(*pair, now);
                    (Some(record), Reply::Done)
                }
                refused => refused,
            }
        }
        Command::Revoke { client_id, .. } if record.client.id != client_id => (Some(record), Reply::Unknown),
        Command::Revoke { hash, family, .. } => revoke(record, &hash, family.as_deref()),
        Command::End => (None, Reply::Done),
        Command::Describe => {
            let reply = Reply::Described { scope: record.scope, used: record.used, presence: record.presence };
            (Some(record), reply)
        }
        Command::Prove { hash } => {
            let is_proved = record.browser.as_ref().is_some_and(|browser| same(browser, &hash));
            let reply = if is_proved { Reply::Proved { owner: record.owner.clone() } } else { Reply::Unknown };
            (Some(record), reply)
        }
        Command::Lacks => {
            if now.saturating_sub(record.lacks) >= NOTED_MILLIS {
                record.lacks = now;
            }
            (Some(record), Reply::Done)
        }
        Command::Declined => {
            record.lacks = 0;
            (Some(record), Reply::Done)
        }
        Command::StepUp { hash, client_id, redirect_uri } => {
            let reply = record.widened(now, &hash, &client_id, &redirect_uri);
            (Some(record), reply)
        }
    }
}

/// Takes back an access token alone, and with a refresh token or the code all that came of them (RFC 7009 section 2.1).
fn revoke(mut record: Record, hash: &str, family: Option<&str>) -> (Option<Record>, Reply) {
    let is_of_family = record.refresh.iter().zip(family).any(|(refresh, family)| same(&refresh.family, family));
    if is_of_family || same(&record.code.hash, hash) {
        return (None, Reply::Done);
    }
    let before = record.access.len();
    record.access.retain(|access| !same(&access.hash, hash));
    let reply = if record.access.len() < before { Reply::Done } else { Reply::Unknown };
    (Some(record), reply)
}

/// A code that was redeemed and comes again from its client ends the grant (RFC 6749 section 10.5). Anybody else's try
/// changes nothing.
fn open_code(record: Record, now: u64, hash: &str, client_id: &str) -> (Option<Record>, Reply) {
    if !same(&record.code.hash, hash) || record.client.id != client_id {
        return (Some(record), Reply::Unknown);
    }
    match &record.code.wrapped {
        None => (None, Reply::Reused),
        Some(_) if record.code.ends <= now => (Some(record), Reply::Unknown),
        Some(wrapped) => {
            let reply = record.opened(record.scope, "", wrapped, &record.code.challenge);
            (Some(record), reply)
        }
    }
}

/// The current refresh token opens; the one before it gets the same answer for half a minute; any older one of the family
/// ends the grant (RFC 9700 section 4.14.2). Without a family only the first two are known.
fn open_refresh(record: Record, hash: &str, family: Option<&str>, client_id: &str) -> (Option<Record>, Reply) {
    let Some(refresh) = record.refresh.as_ref().filter(|_| record.client.id == client_id) else {
        return (Some(record), Reply::Unknown);
    };
    if same(&refresh.hash, hash) {
        let reply = record.opened(record.scope, "", &refresh.wrapped, "");
        return (Some(record), reply);
    }
    match &record.replaced {
        Some(replaced) if same(&replaced.hash, hash) => {
            let reply = Reply::Again(replaced.answer.clone());
            (Some(record), reply)
        }
        _ if family.is_none_or(|family| same(&refresh.family, family)) => (None, Reply::Reused),
        _ => (Some(record), Reply::Unknown),
    }
}
