//! `/confirm/<link>`: a person reads what a call would do, and agrees or declines; with a yes they hand in the credentials that it
//! asks for. `/handed/<link>`: they take secrets that a call laid out for them, each once.
//!
//! The link is no credential: the page shows nothing before the person proves to be the principal that asked, and a `GET`
//! changes nothing. What proves it: the access key, or the key pair, that the caller sends or that its grant holds; the cookie of
//! the browser in which the grant was allowed ([`super::browser`]); or, for a grant that came of a sign-in at TiDB Cloud, another
//! sign-in there by the account with the same e-mail address.

use serde::{Deserialize, Serialize};

use super::{
    Server,
    check::Checked,
    form::{Fields, is_form},
    page::{
        Problem,
        confirm::{self as pages, Proof, Shown},
    },
};
use crate::{
    base::{
        http::{Head, Response},
        json,
        secret::Secret,
    },
    catalogue::{CREDENTIAL_BYTES_MAX, Credentials, Item, Stakes},
    config::OAuthClient,
    limits::keys::CredentialHash,
    port::StorageFailure,
    store::{
        confirmations::{ASKED_MILLIS, Command, Keys, Reply},
        grant,
        index::{self, Entry},
        object::{self, ObjectName},
        seal::{DataKey, Keyring, Random, Sealed, base64url, fingerprint, from_base64url, random, same},
        token::GrantId,
    },
    tidbcloud::{ApiKey, OAuthError},
};

/// The start of the paths.
pub const PATH: &str = "/confirm/";
/// See above.
pub const HANDED_PATH: &str = "/handed/";
/// What is typed stays valid for as long as a person reads.
const PROVED_SECONDS: u64 = 300;
/// What the proof is sealed for.
const PURPOSE: &str = "confirmation page v1";
/// What the state of a sign-in at TiDB Cloud is sealed for.
const LEAVING_PURPOSE: &str = "confirmation sign-in v1";

/// What a link leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Question,
    HandedOut,
}

/// The place of a question, or of secrets: its principal's object, its id, and the key that opens what the page shows.
pub struct Link {
    kind: Kind,
    principal: String,
    id: String,
    key: DataKey,
}

/// What such a page shows.
struct Opened {
    stakes: Stakes,
    /// The data key of what is to be handed in, under the link's.
    key: Option<Box<Sealed>>,
    /// The secrets that lie ready: what each is, how much that is, and whether it is an address.
    items: Vec<(String, Option<String>, bool)>,
    /// Places of those that were not taken.
    left: Vec<usize>,
}

/// What the credentials of a call are sealed for: the principal, and all that its agreement is bound to.
pub fn bound_to(principal: &CredentialHash, whole: &str) -> String {
    format!("handed in v1 {} {whole}", principal.as_str())
}

impl Link {
    /// A new one to a question of a principal.
    pub fn to_question(principal: &CredentialHash, bytes: Random<'_>) -> Self {
        Self::new(Kind::Question, principal, bytes)
    }

    /// A new one to secrets.
    pub fn to_handed_out(principal: &CredentialHash, bytes: Random<'_>) -> Self {
        Self::new(Kind::HandedOut, principal, bytes)
    }

    fn new(kind: Kind, principal: &CredentialHash, bytes: Random<'_>) -> Self {
        let (id, key) = (base64url(&random::<16>(bytes)), DataKey::new(bytes));
        Self { kind, principal: principal.as_str().to_owned(), id, key }
    }

    /// From a path.
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, text) = match path.strip_prefix(HANDED_PATH) {
            Some(text) => (Kind::HandedOut, text),
            None => (Kind::Question, path.strip_prefix(PATH)?),
        };
        let mut parts = text.split('.');
        let (principal, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let is_hash = from_base64url(principal).is_some_and(|hash| hash.len() == 32);
        let key = DataKey::from_text(key)?;
        let is_link = parts.next().is_none() && is_hash && from_base64url(id).is_some_and(|id| id.len() == 16);
        is_link.then(|| Self { kind, principal: principal.to_owned(), id: id.to_owned(), key })
    }

    /// The path.
    pub fn path(&self) -> String {
        let start = if self.kind == Kind::Question { PATH } else { HANDED_PATH };
        format!("{start}{}.{}.{}", self.principal, self.id, self.key.to_text())
    }

    /// The id as the object knows it.
    pub fn id_fingerprint(&self) -> String {
        fingerprint(self.id.as_bytes())
    }

    /// The object with the principal's questions.
    pub fn object(&self) -> ObjectName {
        ObjectName::confirmations(&self.principal)
    }

    /// Seals what the page of a question shows.
    pub fn seal(&self, stakes: &Stakes, bytes: Random<'_>) -> Option<Sealed> {
        self.key.seal(&self.id, &serde_json::to_string(stakes).ok()?, bytes)
    }

    /// Makes a data key for what is to be handed in, and wraps it: under the link's key, with what it is bound to, and under the caller's.
    pub fn keys(&self, caller: &DataKey, bound_to: &str, bytes: Random<'_>) -> Option<Keys> {
        let key = DataKey::new(bytes).to_text();
        let link = self.key.seal(&self.bound("data key"), &format!("{key} {bound_to}"), bytes)?;
        Some(Keys { link: Some(link), caller: caller.seal(bound_to, &key, bytes)? })
    }

    /// Seals what a person hands in.
    fn hand_in(&self, key: &Sealed, values: &[(String, String)], bytes: Random<'_>) -> Option<Sealed> {
        let text = self.key.open(&self.bound("data key"), key)?;
        let (key, bound_to) = text.split_once(' ')?;
        DataKey::from_text(key)?.seal(bound_to, &Credentials::to_text(values)?, bytes)
    }

    /// Seals what the page of secrets shows, and each of these.
    pub fn seal_items(&self, about: &Stakes, items: &[Item], bytes: Random<'_>) -> Option<(Sealed, Vec<Sealed>)> {
        let shown: Vec<_> = items.iter().map(Item::shown).collect();
        let page = self.key.seal(&self.bound("page"), &serde_json::to_string(&(about, shown)).ok()?, bytes)?;
        let seal =
            |(at, item): (usize, &Item)| self.key.seal(&self.bound(&at.to_string()), item.secret().expose(), bytes);
        Some((page, items.iter().enumerate().map(seal).collect::<Option<_>>()?))
    }

    fn open_item(&self, at: usize, sealed: &Sealed) -> Option<Secret> {
        self.key.open(&self.bound(&at.to_string()), sealed).map(Secret::new)
    }

    /// The associated data of anything but the page of a question.
    fn bound(&self, part: &str) -> String {
        format!("{part} of {}", self.id)
    }

    /// What an object said of it.
    fn open(&self, reply: Reply) -> Option<Opened> {
        let Reply::Open { page, key, left, .. } = reply else { return None };
        let (stakes, items) = match self.kind {
            Kind::Question => (json::read(self.key.open(&self.id, &page)?.as_bytes()).ok()?, Vec::new()),
            Kind::HandedOut => json::read(self.key.open(&self.bound("page"), &page)?.as_bytes()).ok()?,
        };
        Some(Opened { stakes, key, items, left })
    }
}

/// Who proved to be the principal: sealed into the form, and bound to a cookie.
#[derive(Serialize, Deserialize)]
struct Proved {
    /// Fingerprint of the link.
    link: String,
    /// Fingerprint of the token in form and cookie.
    csrf: String,
    /// Milliseconds since 1970.
    ends: u64,
}

/// What comes back from a sign-in at TiDB Cloud that proves who answers: sealed into its `state`.
#[derive(Serialize, Deserialize)]
pub(super) struct Leaving {
    link: String,
    /// Fingerprint of the token in the cookie.
    csrf: String,
    verifier: String,
    /// Milliseconds since 1970.
    ends: u64,
}

impl Server<'_> {
    /// `GET /confirm/<link>`: asks for the proof.
    pub(super) async fn confirm(&self, head: &Head) -> Response {
        if let Err(guarded) = self.guard_request().await {
            return self.guarded_page(guarded);
        }
        match link_of(head) {
            Some(link) => self.ask_proof(head, 200, &link, &[], None),
            None => self.nothing_there(head.url.path().starts_with(HANDED_PATH)),
        }
    }

    /// `POST /confirm/<link>`: the proof, or the decision.
    pub(super) async fn answer_confirm(&self, head: &Head, body: &[u8]) -> Response {
        let fields = match Fields::parse(body) {
            Some(fields) if is_form(&head.headers) => fields,
            _ => return self.refusal(400, "invalid_request", "This is not the form of this page."),
        };
        let Some(link) = link_of(head) else { return self.nothing_there(head.url.path().starts_with(HANDED_PATH)) };
        if let Err(guarded) = self.guard_request().await {
            return self.guarded_page(guarded);
        }
        let decision = if link.kind == Kind::Question { "decision" } else { "item" };
        match (fields.one(decision), fields.one("by")) {
            (Ok(Some(decision)), _) => self.decide_confirm(head, &link, &fields, decision).await,
            (_, Ok(Some("browser"))) => self.prove_by_browser(head, &link).await,
            (_, Ok(Some("tidbcloud"))) => self.leave_to_prove(&link).await,
            _ => self.prove_by_credential(head, &link, &fields).await,
        }
    }

    /// By the cookie that consent set. There is nothing to guess, so it counts as no try.
    async fn prove_by_browser(&self, head: &Head, link: &Link) -> Response {
        let Some(held) = self.held_for(head, &link.principal) else {
            let field = if self.config.owner.is_some() { "accessKey" } else { "publicKey" };
            let message = "This browser is not the one in which the client was connected. Prove it in another way.";
            return self.ask_proof(head, 403, link, &[Problem { field, set: 0, message }], None);
        };
        match self.still_counts(&held).await {
            Ok(true) => {}
            Ok(false) => return self.no_question(link),
            Err(StorageFailure) => return self.unavailable_page(),
        }
        match self.ask_confirmations(link, Command::Look { id: link.id_fingerprint() }).await {
            Ok(reply) => match link.open(reply) {
                Some(opened) => self.show(200, link, &opened, &[], None),
                None => self.no_question(link),
            },
            Err(StorageFailure) => self.unavailable_page(),
        }
    }

    /// The client of TiDB Cloud's OAuth, where people connect by it.
    fn sign_in_client(&self) -> Option<&OAuthClient> {
        self.config.tidb_cloud_oauth.as_ref().filter(|_| self.config.allowed.oauth && self.config.owner.is_none())
    }

    /// By a sign-in at TiDB Cloud's page, which comes back to this browser. Its device flow would prove nothing here: whoever has
    /// the link, a client for one, could begin it and have somebody else finish it, who never sees what it is for.
    async fn leave_to_prove(&self, link: &Link) -> Response {
        let client = self.sign_in_client();
        let Some((client, page)) = client.and_then(|client| Some((client, client.authorize_url.as_ref()?))) else {
            return self.refusal(400, "invalid_request", "This deployment cannot ask TiDB Cloud who you are.");
        };
        if let Err(guarded) = self.guard_try(&[]).await {
            return self.guarded_page(guarded);
        }
        match self.ask_confirmations(link, Command::Try { id: link.id_fingerprint() }).await {
            Ok(Reply::Open { .. }) => {}
            Ok(_) => return self.no_question(link),
            Err(StorageFailure) => return self.unavailable_page(),
        }
        let bytes = |bytes: &mut [u8]| self.random(bytes);
        let (csrf, verifier) = (base64url(&random::<32>(&bytes)), base64url(&random::<32>(&bytes)));
        let leaving = Leaving {
            link: link.path(),
            csrf: fingerprint(csrf.as_bytes()),
            verifier,
            ends: self.now().0.saturating_add(PROVED_SECONDS * 1_000),
        };
        self.leave_to_sign_in(client, page, (LEAVING_PURPOSE, &leaving), &leaving.verifier)
            .with("set-cookie", self.cookie(&cookie_name(link), &csrf, PROVED_SECONDS))
    }

    /// The `state` of such a sign-in.
    pub(super) fn leaving(&self, state: &str) -> Option<Leaving> {
        json::read(self.keyring.open_text(LEAVING_PURPOSE, state)?.as_bytes()).ok()
    }

    /// `GET /signed-in` after such a sign-in: shows what would happen, and changes nothing.
    pub(super) async fn signed_in_to_confirm(&self, head: &Head, leaving: &Leaving, code: Option<&str>) -> Response {
        let Some((link, client)) = Link::parse(&leaving.link).zip(self.sign_in_client()) else {
            return self.nothing_there(false);
        };
        let cookie = self.sent_cookie(head, &cookie_name(&link)).unwrap_or_default();
        if leaving.ends <= self.now().0 || !same(&fingerprint(cookie.as_bytes()), &leaving.csrf) {
            return self.refusal(403, "forbidden", "The sign-in does not belong to this browser. Open the link again.");
        }
        let Some(code) = code else { return self.not_signed_in(&OAuthError::Denied) };
        let opened = match self.ask_confirmations(&link, Command::Look { id: link.id_fingerprint() }).await {
            Ok(reply) => link.open(reply),
            Err(StorageFailure) => return self.unavailable_page(),
        };
        let Some(opened) = opened else { return self.no_question(&link) };
        let is_principal = match self.address_of(client, code, &leaving.verifier).await {
            Ok(Some(address)) => self.is_principal(&link, &Prover::Person(address), &opened.stakes).await,
            Ok(None) => Ok(false),
            Err(failure) => return self.not_signed_in(&failure),
        };
        match is_principal {
            Ok(true) => self.show_to_principal(&link, &opened).await,
            Ok(false) => {
                let message = "The client was not connected by the person that TiDB Cloud says you are.";
                self.ask_proof(head, 400, &link, &[Problem { field: "signIn", set: 0, message }], None)
            }
            Err(StorageFailure) => self.unavailable_page(),
        }
    }

    /// A right proof is no try: whoever takes fifty files proves it as often as they like.
    async fn show_to_principal(&self, link: &Link, opened: &Opened) -> Response {
        self.take_back(link).await;
        self.show(200, link, opened, &[], None)
    }

    /// Takes back a try that was not wrong. If storage does not answer, it counts as one.
    async fn take_back(&self, link: &Link) {
        let _ = self.ask_confirmations(link, Command::TakeBack { id: link.id_fingerprint() }).await;
    }

    async fn prove_by_credential(&self, head: &Head, link: &Link, fields: &Fields) -> Response {
        let one = |name| fields.one(name).ok().flatten().unwrap_or_default().trim();
        let has_keys = self.takes_keys() && !(one("publicKey").is_empty() && one("privateKey").is_empty());
        let (field, proved) = match &self.config.owner {
            Some(owner) if !has_keys && owner.access_key.matches(one("accessKey")) => ("accessKey", Ok(Prover::Owner)),
            Some(_) if !has_keys => ("accessKey", Err("This is not the access key of this deployment.")),
            _ => {
                ("publicKey", ApiKey::new(one("publicKey"), one("privateKey")).map(Prover::Key).map_err(|_| NOT_YOURS))
            }
        };
        let key = match &proved {
            Ok(Prover::Key(key)) => Some(key.clone()),
            _ => None,
        };
        if !matches!(proved, Ok(Prover::Owner))
            && let Err(guarded) = self.guard_try(&key.iter().collect::<Vec<_>>()).await
        {
            return self.guarded_page(guarded);
        }
        let reply = match self.ask_confirmations(link, Command::Try { id: link.id_fingerprint() }).await {
            Ok(reply) => reply,
            Err(StorageFailure) => return self.unavailable_page(),
        };
        let Reply::Open { tries_left, .. } = reply else { return self.no_question(link) };
        let again = |status, message, tries_left| {
            self.ask_proof(head, status, link, &[Problem { field, set: 0, message }], Some(u32::from(tries_left)))
        };
        let wrong = |status, message| again(status, message, tries_left);
        let prover = match proved {
            Ok(prover) => prover,
            Err(message) => return wrong(400, message),
        };
        if let Some(key) = &key {
            match self.check(&key.clone().into()).await {
                Checked::Accepted => {}
                Checked::Refused => return wrong(400, NOT_YOURS),
                Checked::Guarded(guarded) => {
                    self.take_back(link).await;
                    return self.guarded_page(guarded);
                }
                Checked::Unknown => {
                    self.take_back(link).await;
                    let message = "TiDB Cloud did not say whether it accepts these keys. Try again in a moment.";
                    return again(503, message, tries_left.saturating_add(1));
                }
            }
        }
        let Some(opened) = link.open(reply) else { return self.no_question(link) };
        match self.is_principal(link, &prover, &opened.stakes).await {
            Ok(true) => self.show_to_principal(link, &opened).await,
            Ok(false) => wrong(400, NOT_YOURS),
            Err(StorageFailure) => self.unavailable_page(),
        }
    }

    /// Whether whoever proved this asked the question: by this credential, or by a grant that goes on and holds it for the
    /// organization in question. A key of one organization says nothing in another, though a grant holds the keys of both.
    async fn is_principal(&self, link: &Link, prover: &Prover, stakes: &Stakes) -> Result<bool, StorageFailure> {
        let keyring: &Keyring = self.keyring;
        let own = match prover {
            Prover::Owner => Some(CredentialHash::of_owner(keyring)),
            Prover::Key(key) => Some(CredentialHash::of_keys(key, keyring)),
            Prover::Person(_) => None,
        };
        if own.is_some_and(|own| same(own.as_str(), &link.principal)) {
            return Ok(true);
        }
        let indexes: Vec<[u8; 32]> = match prover {
            Prover::Owner => keyring.macs("index of the owner v1", &[]).collect(),
            Prover::Key(key) => keyring.macs("index of a key v1", &[key.public().as_bytes()]).collect(),
            Prover::Person(address) => keyring.macs("index of a person v1", &[address.as_bytes()]).collect(),
        };
        for name in indexes {
            let index::Reply::Entries(entries) = self.ask_index(&name, index::Command::List).await? else { continue };
            let asks = |entry: &&Entry| {
                stakes.is_in(&entry.organization)
                    && same(CredentialHash::of_grant(&entry.grant, keyring).as_str(), &link.principal)
            };
            let Some(grant) = entries.iter().find(asks).and_then(|entry| GrantId::parse(&entry.grant, keyring)) else {
                continue;
            };
            // A question ends with its grant.
            let described = self.ask_grant(&grant, grant::Command::Describe).await?;
            return Ok(matches!(described, grant::Reply::Described { .. }));
        }
        Ok(false)
    }

    async fn decide_confirm(&self, head: &Head, link: &Link, fields: &Fields, decision: &str) -> Response {
        let one = |name| fields.one(name).ok().flatten().unwrap_or_default();
        let csrf = one("csrf");
        let proved = self.keyring.open_text(PURPOSE, one("proof"));
        let proved = proved.and_then(|text| json::read::<Proved>(text.as_bytes()).ok()).filter(|proved| {
            proved.ends > self.now().0
                && same(&proved.link, &fingerprint(link.path().as_bytes()))
                && same(&proved.csrf, &fingerprint(csrf.as_bytes()))
        });
        let cookie = self.sent_cookie(head, &cookie_name(link)).unwrap_or_default();
        if proved.is_none() || csrf.is_empty() || !same(csrf, &cookie) {
            let message = "This page has expired, or was not opened in this browser. Open the link again.";
            return self.refusal(403, "forbidden", message);
        }
        let opened = match self.ask_confirmations(link, Command::Look { id: link.id_fingerprint() }).await {
            Ok(reply) => link.open(reply),
            Err(StorageFailure) => return self.unavailable_page(),
        };
        let Some(opened) = opened else { return self.no_question(link) };
        if link.kind == Kind::HandedOut {
            return self.give(link, opened, decision).await;
        }
        let Opened { stakes, key, .. } = &opened;
        let yes = decision == "confirm";
        if yes && stakes.name.as_ref().is_some_and(|name| name != one("name").trim()) {
            let problems = [Problem { field: "name", set: 0, message: "Type the name exactly as it is shown." }];
            return self.show(400, link, &opened, &problems, None);
        }
        let mut handed_in = None;
        if yes && !stakes.credentials.is_empty() {
            let values = match handed_in_by(&stakes.credentials, fields) {
                Ok(values) => values,
                Err(wrong) => {
                    let problems = wrong.iter().map(|(field, message)| Problem { field, set: 0, message });
                    return self.show(400, link, &opened, &problems.collect::<Vec<_>>(), None);
                }
            };
            values.iter().for_each(|(_, value)| self.log.hides(value));
            let bytes = |bytes: &mut [u8]| self.random(bytes);
            let sealed = key.as_ref().and_then(|key| link.hand_in(key, &values, &bytes));
            let Some(sealed) = sealed else { return self.no_question(link) };
            handed_in = Some(Box::new(sealed));
        }
        match self.ask_confirmations(link, Command::Answer { id: link.id_fingerprint(), yes, handed_in }).await {
            Ok(Reply::Done) => {}
            Ok(_) => return self.no_question(link),
            Err(StorageFailure) => return self.unavailable_page(),
        }
        self.audit(if yes { "confirmed" } else { "declined" }, &[]);
        let nonce = self.nonce();
        self.page(200, &nonce, pages::decided(yes, &nonce))
    }

    /// Gives one of the secrets that lie ready.
    async fn give(&self, link: &Link, mut opened: Opened, item: &str) -> Response {
        let at = item.parse().ok().filter(|at| opened.left.contains(at));
        let Some(at) = at else {
            let is_address = item.parse().ok().and_then(|at: usize| opened.items.get(at)).is_some_and(|item| item.2);
            if is_address {
                // In the tab of the downloads, where a second form would take the first one's cookie away.
                return self.refusal(
                    400,
                    "invalid_request",
                    "This was taken already. What else lies ready is in the tab before.",
                );
            }
            let problems = [Problem { field: "items", set: 0, message: "That was taken already." }];
            return self.show(400, link, &opened, &problems, None);
        };
        let sealed = match self.ask_confirmations(link, Command::Give { id: link.id_fingerprint(), item: at }).await {
            Ok(Reply::Given(sealed)) => sealed,
            Ok(_) => return self.no_question(link),
            Err(StorageFailure) => return self.unavailable_page(),
        };
        let Some(secret) = link.open_item(at, &sealed) else { return self.no_question(link) };
        self.log.hides(secret.expose());
        self.audit("handed_out", &[]);
        if let Some((name, _, true)) = opened.items.get(at) {
            let nonce = self.nonce();
            let mut response = self.page(200, &nonce, pages::download(name, secret.expose(), &nonce));
            response.headers.set("referrer-policy", "no-referrer");
            return response;
        }
        opened.left.retain(|left| *left != at);
        self.show(200, link, &opened, &[], Some((at, &secret)))
    }

    fn ask_proof(
        &self,
        head: &Head,
        status: u16,
        link: &Link,
        problems: &[Problem<'_>],
        tries_left: Option<u32>,
    ) -> Response {
        if tries_left == Some(0) {
            return self.refusal(400, "access_denied", "That was the last try. Ask the client to make its call again.");
        }
        let nonce = self.nonce();
        let path = link.path();
        let page = Proof {
            path: &path,
            is_question: link.kind == Kind::Question,
            takes_access_key: self.config.owner.is_some(),
            takes_keys: self.takes_keys(),
            is_known: self.held_for(head, &link.principal).is_some(),
            sign_in: self.sign_in_client().map(|client| client.authorize_url.is_some()),
            problems,
            tries_left,
            nonce: &nonce,
        };
        self.page(status, &nonce, pages::proof(&page))
    }

    /// What a link leads to, with the text that was just given, if one was.
    fn show(
        &self,
        status: u16,
        link: &Link,
        opened: &Opened,
        problems: &[Problem<'_>],
        given: Option<(usize, &Secret)>,
    ) -> Response {
        let bytes = |bytes: &mut [u8]| self.random(bytes);
        let csrf = base64url(&random::<32>(&bytes));
        let path = link.path();
        // Whoever makes a key first has all of the time that the page has.
        let takes_long = link.kind == Kind::HandedOut || !opened.stakes.credentials.is_empty();
        let seconds = if takes_long { ASKED_MILLIS / 1_000 } else { PROVED_SECONDS };
        let proved = Proved {
            link: fingerprint(path.as_bytes()),
            csrf: fingerprint(csrf.as_bytes()),
            ends: self.now().0.saturating_add(seconds * 1_000),
        };
        let proof = serde_json::to_string(&proved).ok().and_then(|text| self.keyring.seal_text(PURPOSE, &text, &bytes));
        let Some(proof) = proof else { return self.unavailable_page() };
        let nonce = self.nonce();
        let Opened { stakes, items, left, .. } = opened;
        let page = Shown { path: &path, proof: &proof, csrf: &csrf, stakes, problems, nonce: &nonce };
        let html = match link.kind {
            Kind::Question => pages::shown(&page),
            Kind::HandedOut => pages::handed(&page, items, left, given.map(|(at, secret)| (at, secret.expose()))),
        };
        let mut response = self.page(status, &nonce, html);
        if link.kind == Kind::HandedOut && left.is_empty() {
            // There is no form on it any more that would have to say where it comes from.
            response.headers.set("referrer-policy", "no-referrer");
        }
        response.with("set-cookie", self.cookie(&cookie_name(link), &csrf, seconds))
    }

    /// Whether somebody who calls with keys of their own can be the one who asks: also on an owner's deployment that lets them.
    fn takes_keys(&self) -> bool {
        self.config.allowed.keys || self.config.owner.is_none()
    }

    fn no_question(&self, link: &Link) -> Response {
        self.nothing_there(link.kind == Kind::HandedOut)
    }

    fn nothing_there(&self, was_handed: bool) -> Response {
        let message = if was_handed {
            "There is nothing to take here: it was taken, or ten minutes are over. The client can make its call again."
        } else {
            "There is nothing to confirm here: it was answered, or ten minutes are over. The client can ask again."
        };
        self.refusal(404, "not_found", message)
    }

    async fn ask_confirmations(&self, link: &Link, command: Command) -> Result<Reply, StorageFailure> {
        match self.port.store.object(&link.object(), &object::Command::Confirmations(command)).await? {
            object::Reply::Confirmations(reply) => Ok(reply),
            _ => Err(StorageFailure),
        }
    }
}

/// What a person proved to hold.
enum Prover {
    Owner,
    Key(ApiKey),
    /// The account at TiDB Cloud with this e-mail address. A name that people choose there proves nothing.
    Person(String),
}

const NOT_YOURS: &str = "These are not the keys of the connection that asks, for the organization that it asks about, or TiDB Cloud does not accept them.";

fn link_of(head: &Head) -> Option<Link> {
    Link::parse(head.url.path())
}

/// The credentials in a form, whole: nothing is taken from them or added, only the line ends are as they were typed (a browser sends
/// CR LF; HTML, section 4.10.22.4).
///
/// # Errors
/// What is wrong with which fields.
#[expect(clippy::type_complexity, reason = "it is read once")]
fn handed_in_by(
    asked: &[(String, String, bool)],
    fields: &Fields,
) -> Result<Vec<(String, String)>, Vec<(String, String)>> {
    let (mut values, mut wrong, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (name, label, long) in asked {
        let field = pages::credential_id(name);
        let value = fields.one(&field).ok().flatten().unwrap_or_default().replace("\r\n", "\n");
        bytes += value.len();
        let is_odd = |letter: char| letter.is_control() && !(*long && matches!(letter, '\n' | '\t'));
        let problem = if value.trim().is_empty() {
            Some("fill this in.")
        } else if bytes > CREDENTIAL_BYTES_MAX {
            Some("this is too long; all fields together have 4,096 bytes at most.")
        } else if value.contains(is_odd) {
            Some("this has a character that does not show, and that no credential has. Copy it again.")
        } else if !*long && value.trim() != value {
            Some("this begins or ends with a blank. Copy it again without.")
        } else {
            None
        };
        // The summary above the form says it as well, away from the field.
        wrong.extend(problem.map(|problem| (field, format!("{label}: {problem}"))));
        values.push((name.clone(), value));
    }
    if wrong.is_empty() { Ok(values) } else { Err(wrong) }
}

fn cookie_name(link: &Link) -> String {
    format!("mcp_confirm_{}", link.id.get(..8).unwrap_or_default())
}
