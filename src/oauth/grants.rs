//! The page on which a person sees and ends the grants that hold a key.

use serde::{Deserialize, Serialize};

use super::{
    Server,
    check::Checked,
    form::{Fields, is_form},
    page::{self, GrantRow, Grants, GrantsSignIn, Problem, Step},
    short,
};
use crate::{
    base::{
        http::{Head, Response},
        json,
        scope::Scope,
    },
    port::StorageFailure,
    store::{
        grant::{self, IDLE_MILLIS, Presence},
        index::{self, ENTRIES_MAX, Entry},
        seal::{base64url, from_base64url, random, same},
        token::GrantId,
    },
    tidbcloud::ApiKey,
};

/// A proved key stays valid for five minutes.
const PROVED_SECONDS: u64 = 300;
/// How long making a grant may take after it was listed: two calls to a Durable Object of five seconds, and room.
const BEING_MADE_MILLIS: u64 = 120_000;
const COOKIE: &str = "mcp_grants";
const PURPOSE: &str = "grants page v1";
const NO_SUCH: &str = "This connection has ended already.";

/// Whose grants may be seen: sealed into a cookie.
#[derive(Serialize, Deserialize)]
struct Proved {
    /// Names of the indexes, under the current and earlier server secrets.
    indexes: Vec<String>,
    csrf: String,
    /// Milliseconds since 1970.
    ends: u64,
}

/// What a grant that goes on says of itself.
struct Living {
    scope: Scope,
    used: u64,
    presence: Presence,
}

impl Server<'_> {
    pub(super) async fn grants(&self, head: &Head) -> Response {
        if let Err(guarded) = self.guard_request().await {
            return self.guarded_page(guarded);
        }
        match self.proved(head) {
            Some(proved) => self.list(200, &proved, None).await,
            None => self.sign_in(200, &[], false),
        }
    }

    /// `POST /grants`: proves a key once.
    pub(super) async fn prove_key(&self, head: &Head, body: &[u8]) -> Response {
        let fields = match Fields::parse(body) {
            Some(fields) if is_form(&head.headers) => fields,
            _ => return self.refusal(400, "invalid_request", "This is not the form of this page."),
        };
        let one = |name| fields.one(name).ok().flatten().unwrap_or_default().trim();
        let is_owner = self.config.owner.as_ref().is_some_and(|owner| owner.access_key.matches(one("accessKey")));
        // Compared first: a person with the access key is not kept out by others who guess from the same address.
        let key = ApiKey::new(one("publicKey"), one("privateKey")).ok().filter(|_| self.config.owner.is_none());
        if !is_owner && let Err(guarded) = self.guard_try(key.as_ref().as_slice()).await {
            return self.guarded_page(guarded);
        }
        let wrong = |status, message| self.sign_in(status, &[self.problem(message)], false);
        let indexes: Vec<[u8; 32]> = if self.config.owner.is_some() {
            if !is_owner {
                return wrong(
                    400,
                    "This is not the access key of this server: the value of its secret MCP_ACCESS_KEY.",
                );
            }
            self.keyring.macs("index of the owner v1", &[]).collect()
        } else {
            const REFUSED: &str =
                "TiDB Cloud does not accept these keys. Both must be of one API key, as you gave them to the client.";
            let Some(key) = key else { return wrong(400, REFUSED) };
            match self.check(&key.clone().into()).await {
                Checked::Accepted => {}
                Checked::Refused => return wrong(400, REFUSED),
                Checked::Guarded(guarded) => return self.guarded_page(guarded),
                Checked::Unknown => {
                    return wrong(503, "TiDB Cloud did not say whether it accepts these keys. Try again in a moment.");
                }
            }
            self.keyring.macs("index of a key v1", &[key.public().as_bytes()]).collect()
        };
        let proved = Proved {
            indexes: indexes.iter().map(|name| base64url(name)).collect(),
            csrf: base64url(&random::<32>(&|bytes| self.random(bytes))),
            ends: self.now().0.saturating_add(PROVED_SECONDS * 1_000),
        };
        let sealed = serde_json::to_string(&proved)
            .ok()
            .and_then(|text| self.keyring.seal_text(PURPOSE, &text, &|bytes| self.random(bytes)));
        let Some(sealed) = sealed else { return self.unavailable_page() };
        self.list(200, &proved, None).await.with("set-cookie", self.cookie(COOKIE, &sealed, PROVED_SECONDS))
    }

    /// `POST /grants/revoke`: ends grants once the person has seen which, or signs out.
    pub(super) async fn revoke_grant(&self, head: &Head, body: &[u8]) -> Response {
        let fields = match Fields::parse(body) {
            Some(fields) if is_form(&head.headers) => fields,
            _ => return self.refusal(400, "invalid_request", "This is not the form of this page."),
        };
        if let Err(guarded) = self.guard_request().await {
            return self.guarded_page(guarded);
        }
        let one = |name| fields.one(name).ok().flatten().unwrap_or_default();
        let Some(proved) = self.proved(head).filter(|proved| same(&proved.csrf, one("csrf"))) else {
            let message = "Your five minutes are over: sign in again.";
            return self.sign_in(403, &[self.problem(message)], false);
        };
        let grants: Vec<&str> = fields.all("grant").take(ENTRIES_MAX).collect();
        let ended = match one("then") {
            "sign-out" => return self.sign_in(200, &[], true).with("set-cookie", self.cookie(COOKIE, "", 0)),
            "end" => match self.end_listed(&proved, &grants).await {
                Ok(ended) => ended,
                Err(StorageFailure) => return self.unavailable_page(),
            },
            _ => return self.confirm_end(&proved, &grants).await,
        };
        match ended {
            0 => self.list(404, &proved, Some(NO_SUCH)).await,
            1 => self.list(200, &proved, Some("Ended: the client's tokens no longer work.")).await,
            _ => self.show_grants(200, &proved, &[], Some("Ended: the clients' tokens no longer work."), Step::Ended),
        }
    }

    /// Asks whether these grants shall end.
    async fn confirm_end(&self, proved: &Proved, grants: &[&str]) -> Response {
        let Ok((mut found, _)) = self.living(proved).await else { return self.unavailable_page() };
        found.retain(|(entry, _)| grants.contains(&entry.grant.as_str()));
        if found.is_empty() {
            return self.list(404, proved, Some(NO_SUCH)).await;
        }
        self.show_grants(200, proved, &found, None, Step::Confirm)
    }

    /// Ends those of some grants that are listed for the key that was proved, and counts them.
    async fn end_listed(&self, proved: &Proved, grants: &[&str]) -> Result<usize, StorageFailure> {
        let mut ended = 0;
        for name in &proved.indexes {
            let Some(name) = from_base64url(name) else { continue };
            let mut listed = self.entries(&name).await?;
            listed.retain(|entry| grants.contains(&entry.grant.as_str()));
            let ids = listed.iter().filter_map(|entry| GrantId::parse(&entry.grant, self.keyring));
            for id in ids {
                if self.ask_grant(&id, grant::Command::End).await? == grant::Reply::Done {
                    self.audit("revocation", &[("grant", short(&id)), ("by", "person")]);
                    ended += 1;
                }
            }
            if !listed.is_empty() {
                let grants = listed.into_iter().map(|entry| entry.grant).collect();
                self.ask_index(&name, index::Command::Remove { grants }).await?;
            }
        }
        Ok(ended)
    }

    async fn entries(&self, name: &[u8]) -> Result<Vec<Entry>, StorageFailure> {
        match self.ask_index(name, index::Command::List).await? {
            index::Reply::Entries(entries) => Ok(entries),
            _ => Err(StorageFailure),
        }
    }

    fn proved(&self, head: &Head) -> Option<Proved> {
        let sealed = self.sent_cookie(head, COOKIE)?;
        let proved: Proved = json::read(self.keyring.open_text(PURPOSE, &sealed)?.as_bytes()).ok()?;
        (proved.ends > self.now().0).then_some(proved)
    }

    /// A problem with what this deployment takes.
    fn problem<'a>(&self, message: &'a str) -> Problem<'a> {
        Problem { field: if self.config.owner.is_some() { "accessKey" } else { "publicKey" }, set: 0, message }
    }

    fn sign_in(&self, status: u16, problems: &[Problem<'_>], signed_out: bool) -> Response {
        let nonce = self.nonce();
        let page = GrantsSignIn { owner: self.config.owner.is_some(), signed_out, problems, nonce: &nonce };
        self.page(status, &nonce, page::grants_sign_in(&page))
    }

    async fn list(&self, status: u16, proved: &Proved, notice: Option<&str>) -> Response {
        let Ok((found, all)) = self.living(proved).await else { return self.unavailable_page() };
        let notice =
            notice.or((!all).then_some("Only the newest are listed. Reload the page when some of these have ended."));
        self.show_grants(status, proved, &found, notice, Step::List)
    }

    fn show_grants(
        &self,
        status: u16,
        proved: &Proved,
        found: &[(Entry, Living)],
        notice: Option<&str>,
        step: Step,
    ) -> Response {
        let nonce = self.nonce();
        let texts: Vec<_> = found
            .iter()
            .map(|(entry, living)| {
                let idle = entry.ends.min(living.used.saturating_add(IDLE_MILLIS));
                [date(entry.created), date(living.used), day(idle), day(entry.ends)]
            })
            .collect();
        let rows: Vec<_> = found
            .iter()
            .zip(&texts)
            .map(|((entry, living), [created, last_used, ends_idle, ends])| GrantRow {
                id: &entry.grant,
                client_name: &entry.client_name,
                client_host: &entry.client_host,
                organization: &entry.organization,
                scope: living.scope,
                presence: living.presence,
                created,
                last_used,
                ends_idle,
                ends,
            })
            .collect();
        let page = Grants { csrf: &proved.csrf, grants: &rows, nonce: &nonce, notice, step };
        self.page(status, &nonce, page::grants(&page))
    }

    /// The newest of the listed grants that have not ended, and whether they are all; those that have are forgotten.
    async fn living(&self, proved: &Proved) -> Result<(Vec<(Entry, Living)>, bool), StorageFailure> {
        let names: Vec<_> = proved.indexes.iter().filter_map(|name| from_base64url(name)).collect();
        let mut listed = Vec::new();
        for name in &names {
            listed.extend(self.entries(name).await?.into_iter().map(|entry| (name, entry)));
        }
        listed.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.created));
        let all = listed.len() <= ENTRIES_MAX;
        let (mut living, mut ended) = (Vec::new(), Vec::new());
        for (name, entry) in listed.into_iter().take(ENTRIES_MAX) {
            let Some(id) = GrantId::parse(&entry.grant, self.keyring) else { continue };
            match self.ask_grant(&id, grant::Command::Describe).await? {
                grant::Reply::Described { scope, used, presence } => {
                    living.push((entry, Living { scope: scope.0, used, presence }));
                }
                // A grant is listed before it is made.
                _ if entry.created.saturating_add(BEING_MADE_MILLIS) > self.now().0 => {}
                _ => ended.push((name, entry.grant)),
            }
        }
        for name in &names {
            let grants: Vec<_> =
                ended.iter().filter(|(index, _)| *index == name).map(|(_, grant)| grant.clone()).collect();
            if !grants.is_empty() {
                self.ask_index(name, index::Command::Remove { grants }).await?;
            }
        }
        Ok((living, all))
    }
}

/// A day in UTC.
fn day(millis: u64) -> String {
    let mut date = date(millis);
    date.truncate("2026-01-01".len());
    date
}

/// A day and a minute in UTC.
fn date(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1_000).unwrap_or_default();
    let Ok(moment) = time::OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
    let (date, hour, minute) = (moment.date(), moment.hour(), moment.minute());
    format!("{}-{:02}-{:02} {hour:02}:{minute:02} UTC", date.year(), u8::from(date.month()), date.day())
}
