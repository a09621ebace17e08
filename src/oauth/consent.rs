//! The person's decision on the consent page.

use std::collections::BTreeSet;

use super::{
    Contents, Credential, Organization, Server,
    authorize::{Asked, PURPOSE, cookie_name},
    browser::{Held, mark},
    check::Checked,
    client_kind,
    contents::SETS_MAX,
    form::{Fields, is_form},
    page::{self, Consent, KeptSet, Problem},
    redirect::RedirectUri,
    resource, short,
    sign_in::SignedIn,
};
use crate::{
    base::{
        http::{Head, Response},
        json,
        scope::Scope,
    },
    catalogue::Catalogue,
    store::{
        document,
        grant::{self, CODE_MILLIS, Code, LIFE_MILLIS, Presence, Record, StoredScope, bound_to},
        index::{self, Entry},
        seal::{DataKey, base64url, fingerprint, same},
        token::{GrantId, Kind, Token},
        transaction,
    },
    tidbcloud::{ApiKey, SqlLogin, alias::Aliases},
};

/// A person's name for an organization; it becomes a value of a tool's argument.
const NAME_CHARACTERS_MAX: usize = 64;

/// What was typed.
struct Filled {
    contents: Contents,
    scope: Option<Scope>,
    problems: Vec<Problem<'static>>,
}

/// A submitted form and its page.
pub(super) struct Sent {
    pub(super) asked: Asked,
    pub(super) csrf: String,
    pub(super) fields: Fields,
}

impl Sent {
    /// What was asked for, within what the person chose.
    fn narrowed(&self, catalogue: &Catalogue) -> Result<Asked, Problem<'static>> {
        let asked = Asked { presence: self.presence()?, ..self.asked.clone() };
        let names = self.fields.all("toolsets").collect::<Vec<_>>().join(",");
        if names.is_empty() {
            return Ok(asked);
        }
        match asked.view.within(&names).filter(|view| !catalogue.toolsets(view).is_empty()) {
            Some(view) => Ok(Asked { view, ..asked }),
            None => Err(problem("toolsets", 0, "Choose among these tools.")),
        }
    }

    /// Who is asked. Two choices that exclude each other are refused: either of them alone would be a surprise to whoever ticked
    /// both. A grant that can change nothing has no choice.
    fn presence(&self) -> Result<Presence, Problem<'static>> {
        if self.asked.view.is_read_only() {
            return Ok(Presence::Any);
        }
        let mut ticked = self.fields.all("presence");
        let presence = match (ticked.next(), ticked.next()) {
            (None, _) => Presence::Any,
            (Some("page"), None) => Presence::Page,
            (Some("absent"), None) => Presence::Absent,
            _ => return Err(problem("presence", 0, "Tick one of the two about being asked, or neither.")),
        };
        // A grant that only reads can be widened later: how its person is asked stays, and that nobody is asked does not.
        let only_reads = chosen_scope(&self.fields) <= Some(Scope::Read);
        Ok(if only_reads && presence == Presence::Absent { Presence::Any } else { presence })
    }
}

pub(super) const NO_SCOPE: &str = "Choose what the client may do, or cancel.";

pub(super) fn problem(field: &'static str, set: usize, message: &'static str) -> Problem<'static> {
    Problem { field, set, message }
}

impl Server<'_> {
    pub(super) async fn consent(&self, head: &Head, body: &[u8]) -> Response {
        match self.read_consent(head, body).await {
            Ok(sent) if sent.asked.widens.is_some() => self.answer_step_up(head, &sent).await,
            Ok(sent) => self.answer_consent(head, &sent).await,
            Err(refused) => refused,
        }
    }

    /// Reads a form from a page that this server showed to this browser and that has not expired.
    async fn read_consent(&self, head: &Head, body: &[u8]) -> Result<Sent, Response> {
        let fields = match Fields::parse(body) {
            Some(fields) if is_form(&head.headers) => fields,
            _ => return Err(self.refusal(400, "invalid_request", "This is not the consent form.")),
        };
        self.guard_request().await.map_err(|guarded| self.guarded_page(guarded))?;
        let Ok(Some(sealed)) = fields.one("transaction") else { return Err(self.ended()) };
        let asked = self.keyring.open_text(PURPOSE, sealed).and_then(|text| json::read::<Asked>(text.as_bytes()).ok());
        let asked = asked.filter(|asked| asked.origin == self.origin.as_str()).ok_or_else(|| self.ended())?;
        let csrf = fields.one("csrf").ok().flatten().unwrap_or_default().to_owned();
        let cookie = self.sent_cookie(head, &cookie_name(&asked.id)).unwrap_or_default();
        if csrf.is_empty() || !same(&csrf, &cookie) || !same(&fingerprint(csrf.as_bytes()), &asked.csrf) {
            return Err(self.refusal(
                403,
                "forbidden",
                "This page has expired, or was not opened in this browser. Go back to the client and connect again; this site needs cookies.",
            ));
        }
        self.ask_open(&asked, transaction::Command::Look { ends: asked.ends }).await?;
        Ok(Sent { asked, csrf, fields })
    }

    async fn answer_consent(&self, head: &Head, sent: &Sent) -> Response {
        let Sent { asked, csrf, fields } = sent;
        let signs_in = self.config.tidb_cloud_oauth.as_ref().filter(|_| self.config.owner.is_none());
        match (fields.one("decision"), signs_in) {
            (Ok(Some("deny")), _) => self.deny(asked).await,
            (Ok(Some("tidbcloud")), Some(client)) => {
                let chosen = chosen_scope(fields).ok_or(problem("scope", 0, NO_SCOPE));
                let (scope, narrowed) = match chosen.and_then(|scope| Ok((scope, sent.narrowed(self.catalogue)?))) {
                    Ok(chosen) => chosen,
                    Err(problem) => return self.show_again(400, sent, &[problem], None),
                };
                match self.count_try(asked, false, &[]).await {
                    Ok(_) => self.begin_sign_in(client, &narrowed, csrf, scope).await,
                    Err(refused) => refused,
                }
            }
            (Ok(Some("poll")), Some(client)) => {
                let device = fields.one("device").ok().flatten().unwrap_or_default();
                match self.finish_sign_in(client, asked, csrf, device).await {
                    SignedIn::Yes(scope, contents) => self.grant(head, asked, scope, &contents).await,
                    SignedIn::No(response) => response,
                }
            }
            // A form that is sent by the Enter key has no button.
            (Ok(None | Some("allow")), _) => self.decide(head, sent).await.unwrap_or_else(|refused| refused),
            _ => self.refusal(400, "invalid_request", "The form does not say whether you allow or decline."),
        }
    }

    pub(super) async fn deny(&self, asked: &Asked) -> Response {
        if let Err(refused) = self.ask_open(asked, transaction::Command::End { ends: asked.ends }).await {
            return refused;
        }
        self.audit("consent_denied", &[("client", &client_kind(&asked.client_id))]);
        self.leave(asked, &[("error", "access_denied"), ("error_description", "The person declined.")], true)
    }

    /// Sends a command to a page's transaction while it is open. Returns the tries left.
    async fn ask_open(&self, asked: &Asked, command: transaction::Command) -> Result<u8, Response> {
        match self.ask_transaction(&asked.id, command).await {
            Ok(transaction::Reply::Open { tries_left }) => Ok(tries_left),
            Ok(transaction::Reply::Ended) => Err(self.ended()),
            Err(_) => Err(self.unavailable_page()),
        }
    }

    /// Counts one try of credentials and returns the tries left. A person with the access key, or with keys that TiDB Cloud
    /// accepts, is not kept out by others who guess from the same address.
    async fn count_try(&self, asked: &Asked, is_owner: bool, keys: &[&ApiKey]) -> Result<u8, Response> {
        if !is_owner {
            self.guard_try(keys).await.map_err(|guarded| self.guarded_page(guarded))?;
        }
        self.ask_open(asked, transaction::Command::Try { ends: asked.ends }).await
    }

    /// Ends the page and makes the grant: the answer that leads back to the client, with the cookie that proves the grant.
    pub(super) async fn grant(&self, head: &Head, asked: &Asked, scope: Scope, contents: &Contents) -> Response {
        if let Err(refused) = self.ask_open(asked, transaction::Command::End { ends: asked.ends }).await {
            return refused;
        }
        let id = GrantId::new(self.keyring, &|bytes| self.random(bytes));
        let mark = RedirectUri::parse(&asked.redirect_uri).map(|uri| mark(&asked.client_id, &uri));
        let browser = Held::new(&id, mark.unwrap_or_default(), &|bytes| self.random(bytes));
        match self.make_grant(asked, scope, contents, &id, &browser).await {
            Ok(code) => {
                let mut answer = vec![("code", code.as_str())];
                answer.extend(asked.state.as_deref().map(|state| ("state", state)));
                let cookie = self.hold(head, browser, asked.widens.as_deref());
                self.leave(asked, &answer, false).with("set-cookie", cookie)
            }
            Err(response) => response,
        }
    }

    pub(super) fn ended(&self) -> Response {
        self.refusal(400, "invalid_request", "This page has expired. Go back to the client and connect again.")
    }

    async fn decide(&self, head: &Head, sent: &Sent) -> Result<Response, Response> {
        let mut filled = read(&sent.fields, self.config.owner.is_some());
        let access_key = sent.fields.one("accessKey").ok().flatten().unwrap_or_default();
        if self.config.owner.is_some() && access_key.is_empty() {
            filled.problems.push(problem("accessKey", 0, "Type the access key of this deployment."));
        }
        let narrowed = sent.narrowed(self.catalogue).map_err(|problem| filled.problems.push(problem));
        let chosen = filled.scope.zip(narrowed.ok()).filter(|_| filled.problems.is_empty());
        let Some((scope, narrowed)) = chosen else {
            return Err(self.show_again(400, sent, &filled.problems, None));
        };
        let is_owner = self.config.owner.as_ref().is_some_and(|owner| owner.access_key.matches(access_key));
        let keys = filled.contents.organizations.iter().filter_map(|organization| match &organization.credential {
            Credential::Key(key) => Some(key),
            Credential::SignIn(_) => None,
        });
        let keys: Vec<&ApiKey> = keys.collect();
        let tries_left = self.count_try(&sent.asked, is_owner, &keys).await?;
        if self.config.owner.is_none() {
            self.prove_keys(sent, &keys, tries_left).await?;
        } else if !is_owner {
            return Err(self.refuse(sent, tries_left, "accessKey", "This is not the access key of this deployment."));
        }
        // Its page, itself and its client's document, and for each key an index and the grant that has to make room there: what
        // is begun has to be finished.
        let objects = keys.iter().map(|_| 2).sum::<u32>() + 3;
        if !self.port.io.may_send(objects) {
            return Err(self.unavailable_page());
        }
        Ok(self.grant(head, &narrowed, scope, &filled.contents).await)
    }

    /// Asks TiDB Cloud whether it accepts each key.
    async fn prove_keys(&self, sent: &Sent, keys: &[&ApiKey], tries_left: u8) -> Result<(), Response> {
        for key in keys {
            match self.check(&(*key).clone().into()).await {
                Checked::Accepted => {}
                Checked::Refused => {
                    let message =
                        "TiDB Cloud does not accept these keys. Check every pair, and that it is not deleted.";
                    return Err(self.refuse(sent, tries_left, "publicKey", message));
                }
                Checked::Guarded(guarded) => return Err(self.guarded_page(guarded)),
                Checked::Unknown => {
                    let message = "TiDB Cloud did not say whether it accepts these keys. Try again in a moment.";
                    let page = self.show_again(503, sent, &[problem("publicKey", 0, message)], Some(tries_left));
                    return Err(page.with("retry-after", "5"));
                }
            }
        }
        Ok(())
    }

    /// The page again with its problems, or its end after the last try.
    fn refuse(&self, sent: &Sent, tries_left: u8, field: &'static str, message: &'static str) -> Response {
        self.audit("consent_refused", &[("client", &client_kind(&sent.asked.client_id))]);
        if tries_left == 0 {
            let message = "That was the last try. Go back to the client and connect again.";
            return self.refusal(400, "access_denied", message);
        }
        self.show_again(400, sent, &[problem(field, 0, message)], Some(tries_left))
    }

    /// The page with what was typed, except secrets, and its problems.
    fn show_again(&self, status: u16, sent: &Sent, problems: &[Problem<'_>], tries_left: Option<u8>) -> Response {
        let more = Consent {
            problems,
            kept: &kept(&sent.fields),
            kept_aliases: sent.fields.all("aliases").next().unwrap_or_default(),
            kept_scope: chosen_scope(&sent.fields),
            kept_toolsets: &sent.fields.all("toolsets").collect::<Vec<_>>(),
            kept_presence: &sent.fields.all("presence").collect::<Vec<_>>(),
            tries_left: tries_left.map(u32::from),
            ..Consent::default()
        };
        self.consent_page(status, &sent.asked, &sent.csrf, &more)
    }

    /// Seals the contents into a new grant, lists and stores it, and returns its code.
    async fn make_grant(
        &self,
        asked: &Asked,
        scope: Scope,
        contents: &Contents,
        id: &GrantId,
        browser: &Held,
    ) -> Result<String, Response> {
        let code = Token::new(Kind::Code, id, &|bytes| self.random(bytes));
        let record = self.seal_grant(asked, scope, contents, id, &code, browser);
        let record = record.ok_or_else(|| self.unavailable_page())?;
        // The index first: a grant that nobody could list and revoke must not come to be.
        self.list_grant(asked, contents, id).await?;
        match self.ask_grant(id, grant::Command::Create(Box::new(record))).await {
            Ok(grant::Reply::Done) => {}
            _ => return Err(self.unavailable_page()),
        }
        if asked.document_host.is_some() {
            // A grant does not depend on it: if it fails, the document stays known for a day.
            let _ = self.ask_document(&asked.client_id, document::Command::Remember).await;
        }
        let client = client_kind(&asked.client_id);
        let mut line = vec![("grant", short(id)), ("client", &*client), ("scope", scope.as_str())];
        let wider = asked.widens.as_deref().and_then(|wider| GrantId::parse(wider, self.keyring));
        line.push(("by", if wider.is_some() { "step-up" } else { self.proof(contents) }));
        line.extend(wider.as_ref().map(|wider| ("widens", short(wider))));
        self.audit("consent", &line);
        Ok(code.expose())
    }

    /// What a person gave for a grant with these contents, for the log.
    fn proof(&self, contents: &Contents) -> &'static str {
        match contents.organizations.first().map(|organization| &organization.credential) {
            _ if self.config.owner.is_some() => "access key",
            Some(Credential::SignIn(_)) => "sign-in",
            _ => "keys",
        }
    }

    /// The stored record of a new grant. It cannot be opened without the code.
    fn seal_grant(
        &self,
        asked: &Asked,
        scope: Scope,
        contents: &Contents,
        id: &GrantId,
        code: &Token,
        browser: &Held,
    ) -> Option<Record> {
        let now = self.now();
        let random = |bytes: &mut [u8]| self.random(bytes);
        let subject = match contents.organizations.first().map(|organization| &organization.credential) {
            Some(Credential::Key(key)) => key.public().as_bytes(),
            Some(Credential::SignIn(sign_in)) => sign_in.subject.as_bytes(),
            None => b"owner",
        };
        let subject = base64url(&self.keyring.mac("subject v1", &[subject]));
        let resource = resource(self.origin);
        let data_key = DataKey::new(&random);
        let bound_to = bound_to(id.as_str(), &subject, &asked.client_id, &resource);
        let sealed = data_key.seal(&bound_to, &contents.write(&asked.view, asked.presence)?, &random)?;
        let wrapped = self.keyring.wrap(&code.wrapping(), &data_key, &random)?;
        let step_up = if can_be_widened(asked, contents) {
            Some(self.keyring.wrap(&browser.wrapping(), &data_key, &random)?)
        } else {
            None
        };
        Some(Record {
            v: 1,
            client: grant::Client {
                id: asked.client_id.clone(),
                name: asked.client_name.clone(),
                redirect_uri: asked.redirect_uri.clone(),
            },
            resource,
            scope: StoredScope(scope),
            subject,
            created: asked.proved.unwrap_or(now.0),
            used: now.0,
            owner: self.config.owner.as_ref().map(|owner| self.owner_hash(owner.access_key.expose())),
            browser: Some(browser.fingerprint()),
            step_up,
            lacks: 0,
            replaces: asked.widens.clone(),
            presence: asked.presence,
            contents: sealed,
            code: Code {
                hash: code.fingerprint(),
                challenge: asked.challenge.clone(),
                ends: now.0.saturating_add(CODE_MILLIS),
                wrapped: Some(wrapped),
            },
            access: Vec::new(),
            refresh: None,
            replaced: None,
        })
    }

    /// Lists a new grant for the owner, for each key in it, or for who signed in. If a list is full, its oldest grant ends.
    async fn list_grant(&self, asked: &Asked, contents: &Contents, id: &GrantId) -> Result<(), Response> {
        let now = self.now();
        let place = RedirectUri::parse(&asked.redirect_uri).map(|uri| uri.place()).unwrap_or_default();
        let entry = |grant: &str, organization: &str| Entry {
            grant: grant.to_owned(),
            client_name: asked.client_name.clone(),
            client_host: asked.document_host.clone().unwrap_or_else(|| place.clone()),
            organization: organization.to_owned(),
            created: now.0,
            ends: asked.proved.unwrap_or(now.0).saturating_add(LIFE_MILLIS),
        };
        // That list only proves grants on the page that confirms a call, and a name in it can be anybody's: a grant that falls off
        // goes on. People see and end it at TiDB Cloud, under "Authorized OAuth Apps" of the account.
        let is_sign_in =
            contents.organizations.iter().any(|organization| matches!(organization.credential, Credential::SignIn(_)));
        for (name, organization) in self.indexes(contents) {
            let add = |grant: &str| index::Command::Add(entry(grant, organization));
            let mut added = self.ask_index(&name, add(id.as_str())).await;
            // The one that it replaces goes on until the code is redeemed, and is listed as long as it does.
            if let (Ok(index::Reply::Evicted { grant }), Some(widens)) = (&added, &asked.widens)
                && grant == widens
            {
                added = self.ask_index(&name, add(widens)).await;
            }
            match added {
                Ok(index::Reply::Evicted { grant }) if !is_sign_in => {
                    if let Some(oldest) = GrantId::parse(&grant, self.keyring) {
                        let ended = self.ask_grant(&oldest, grant::Command::End).await;
                        ended.map_err(|_| self.unavailable_page())?;
                        self.audit("revocation", &[("grant", short(&oldest)), ("by", "newer grants")]);
                    }
                }
                Ok(_) => {}
                Err(_) => return Err(self.unavailable_page()),
            }
        }
        Ok(())
    }

    /// The indexes that list a grant with these contents, and what each calls the organization.
    pub(super) fn indexes<'c>(&self, contents: &'c Contents) -> Vec<([u8; 32], &'c str)> {
        if self.config.owner.is_some() {
            return vec![(self.owner_index(), "")];
        }
        let listed = |organization: &'c Organization| match &organization.credential {
            Credential::Key(key) => (self.key_index(key), organization.name.as_str()),
            Credential::SignIn(sign_in) => (self.person_index(&sign_in.subject), organization.name.as_str()),
        };
        contents.organizations.iter().map(listed).collect()
    }

    /// Name of the index of the grants that hold a key.
    pub(super) fn key_index(&self, key: &ApiKey) -> [u8; 32] {
        self.keyring.mac("index of a key v1", &[key.public().as_bytes()])
    }

    /// Name of the index of the grants of a person who signs in at TiDB Cloud.
    fn person_index(&self, subject: &str) -> [u8; 32] {
        self.keyring.mac("index of a person v1", &[subject.as_bytes()])
    }

    /// Name of the index of an owner's grants.
    pub(super) fn owner_index(&self) -> [u8; 32] {
        self.keyring.mac("index of the owner v1", &[])
    }

    /// The keyed hash of the access key in an owner's grant.
    fn owner_hash(&self, access_key: &str) -> String {
        base64url(&self.keyring.mac("access key v1", &[access_key.as_bytes()]))
    }

    /// The page that leads back to the client, by a link and automatically. A redirect would be blocked: the policy of the
    /// submitted page applies to its form's redirects too (CSP Level 3 section 6.4.2, as in Chromium).
    fn leave(&self, asked: &Asked, answer: &[(&str, &str)], denied: bool) -> Response {
        let Ok(redirect) = RedirectUri::parse(&asked.redirect_uri) else {
            return self.refusal(400, "invalid_request", "The page was changed.");
        };
        let mut answer = answer.to_vec();
        if denied {
            answer.extend(asked.state.as_deref().map(|state| ("state", state)));
        }
        answer.push(("iss", self.origin.as_str()));
        let (target, nonce) = (redirect.with_answer(&answer), self.nonce());
        self.page(200, &nonce, page::continue_page(&target, &asked.client_name, &nonce, denied))
            .with("set-cookie", self.cookie(&cookie_name(&asked.id), "", 0))
    }
}

/// Whether a grant can be widened in its browser without the keys. The answer has to go to another machine by https, which no
/// program here can take the place of; somebody has to be there; and a sign-in at TiDB Cloud has a refresh token that counts once,
/// so two grants cannot have it.
fn can_be_widened(asked: &Asked, contents: &Contents) -> bool {
    let has_sign_in =
        contents.organizations.iter().any(|organization| matches!(organization.credential, Credential::SignIn(_)));
    let is_remote = RedirectUri::parse(&asked.redirect_uri).is_ok_and(|redirect| redirect.is_remote());
    is_remote && !has_sign_in && asked.presence != Presence::Absent
}

/// The strongest scope that was ticked.
pub(super) fn chosen_scope(fields: &Fields) -> Option<Scope> {
    fields.all("scope").flat_map(|text| text.split(' ')).filter_map(Scope::parse).max()
}

/// The fields that can be shown again: never a secret.
fn kept(fields: &Fields) -> Vec<KeptSet<'_>> {
    let at = |name: &'static str, set| fields.all(name).nth(set).unwrap_or_default();
    let of = |set| KeptSet {
        public_key: at("publicKey", set),
        name: at("name", set),
        sql_cluster: at("sqlCluster", set),
        sql_user: at("sqlUser", set),
    };
    (0..SETS_MAX).map(of).collect()
}

/// Reads the form and names all its problems.
fn read(fields: &Fields, owner: bool) -> Filled {
    let mut problems = Vec::new();
    let scope = chosen_scope(fields);
    if scope.is_none() {
        problems.push(problem("scope", 0, NO_SCOPE));
    }
    let mut contents = Contents::default();
    if !owner {
        contents.organizations = read_organizations(fields, &mut problems);
        if contents.organizations.is_empty() && problems.iter().all(|problem| problem.field == "scope") {
            problems.push(problem("publicKey", 0, "Type the two keys of an organization."));
        }
    }
    match Aliases::parse_lines(fields.all("aliases").next().unwrap_or_default()) {
        Ok(aliases) => contents.aliases = aliases,
        Err(message) => problems.push(problem("aliases", 0, message)),
    }
    Filled { contents, scope, problems }
}

/// The sets of fields that are not blank. No two organizations have a name or a key in common.
fn read_organizations(fields: &Fields, problems: &mut Vec<Problem<'static>>) -> Vec<Organization> {
    let (mut names, mut keys, mut organizations) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for set in 0..SETS_MAX {
        let at = |name: &'static str| fields.all(name).nth(set).unwrap_or_default().trim();
        let (public, private, name) = (at("publicKey"), at("privateKey"), at("name"));
        let (cluster, user, password) = (at("sqlCluster"), at("sqlUser"), at("sqlPassword"));
        if [public, private, name, cluster, user, password].iter().all(|text| text.is_empty()) {
            continue;
        }
        let mut wrong = |field, message| problems.push(problem(field, set, message));
        let key = read_key(public, private, &mut wrong);
        let name = if name.is_empty() { default_name(set) } else { name.to_owned() };
        if !is_name(&name) {
            wrong("name", "A name has 1 to 64 letters, digits, spaces, dots, hyphens and underscores.");
        }
        if !names.insert(name.to_ascii_lowercase()) {
            wrong("name", "Two organizations have this name.");
        }
        if !public.is_empty() && !keys.insert(public.to_owned()) {
            wrong("publicKey", "This key is here twice.");
        }
        let sql = read_sql_login(cluster, user, password, &mut wrong);
        organizations.extend(key.map(|key| Organization { name, credential: Credential::Key(key), sql }));
    }
    organizations
}

fn read_key(public: &str, private: &str, wrong: &mut impl FnMut(&'static str, &'static str)) -> Option<ApiKey> {
    if public.is_empty() {
        wrong("publicKey", "The public key is missing.");
    }
    if private.is_empty() {
        wrong("privateKey", "The private key is missing.");
    }
    let key = ApiKey::new(public, private).ok();
    if key.is_none() && !public.is_empty() && !private.is_empty() {
        wrong("publicKey", "These do not look like keys of TiDB Cloud. Copy both again from its console.");
    }
    key
}

fn read_sql_login(
    cluster: &str,
    user: &str,
    password: &str,
    wrong: &mut impl FnMut(&'static str, &'static str),
) -> Option<SqlLogin> {
    if user.is_empty() && password.is_empty() && cluster.is_empty() {
        return None;
    }
    if user.is_empty() || password.is_empty() {
        wrong("sqlUser", "A SQL user needs a name and a password, or neither.");
        return None;
    }
    let login = SqlLogin::new(user, password).ok().filter(|login| login.user.contains('.'));
    if login.is_none() {
        wrong("sqlUser", "Give the full user name with its prefix, as in 2aEp24QWEDLqRFs.root.");
    }
    let at = (!cluster.is_empty()).then(|| cluster.parse());
    if matches!(at, Some(Err(_))) {
        wrong("sqlCluster", "A cluster id is a number.");
    }
    login.map(|login| login.only_for(at.and_then(Result::ok)))
}

fn default_name(set: usize) -> String {
    if set == 0 { "default".to_owned() } else { format!("organization-{}", set + 1) }
}

fn is_name(name: &str) -> bool {
    let inner = |character: char| character.is_ascii_alphanumeric() || " ._-".contains(character);
    name.len() <= NAME_CHARACTERS_MAX
        && name.chars().all(inner)
        && name.starts_with(|character: char| character.is_ascii_alphanumeric())
}
