//! What a person decides on the consent page.

use std::collections::BTreeSet;

use super::{
    Contents, Credential, Organization, Server,
    authorize::{Asked, PURPOSE, cookie_name},
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
    store::{
        document,
        grant::{self, CODE_MILLIS, Code, LIFE_MILLIS, Record, StoredScope, bound_to},
        index::{self, Entry},
        seal::{DataKey, base64url, fingerprint, same},
        token::{GrantId, Kind, Token},
        transaction,
    },
    tidbcloud::{ApiKey, SqlLogin, alias::Aliases},
};

/// What a person calls an organization; it becomes a value of a tool's argument.
const NAME_CHARACTERS_MAX: usize = 64;

/// What was typed.
struct Filled {
    contents: Contents,
    scope: Option<Scope>,
    problems: Vec<Problem<'static>>,
}

fn problem(field: &'static str, set: usize, message: &'static str) -> Problem<'static> {
    Problem { field, set, message }
}

impl Server<'_> {
    pub(super) async fn consent(&self, head: &Head, body: &[u8]) -> Response {
        let fields = match Fields::parse(body) {
            Some(fields) if is_form(&head.headers) => fields,
            _ => return self.refusal(400, "invalid_request", "This is not the consent form."),
        };
        if let Err(guarded) = self.guard_request().await {
            return self.guarded_page(guarded);
        }
        let Ok(Some(sealed)) = fields.one("transaction") else { return self.ended() };
        let asked = self.keyring.open_text(PURPOSE, sealed).and_then(|text| json::read::<Asked>(text.as_bytes()).ok());
        let Some(asked) = asked.filter(|asked| asked.origin == self.origin.as_str()) else { return self.ended() };
        let csrf = fields.one("csrf").ok().flatten().unwrap_or_default();
        let cookie = self.sent_cookie(head, &cookie_name(&asked.id)).unwrap_or_default();
        if csrf.is_empty() || !same(csrf, &cookie) || !same(&fingerprint(csrf.as_bytes()), &asked.csrf) {
            return self.refusal(
                403,
                "forbidden",
                "This page has ended, or was not opened in this browser. Go back to the client and connect again; this site needs its cookies.",
            );
        }
        let ends = asked.ends;
        match self.ask_transaction(&asked.id, transaction::Command::Look { ends }).await {
            Ok(transaction::Reply::Open { .. }) => {}
            Ok(transaction::Reply::Ended) => return self.ended(),
            Err(_) => return self.unavailable_page(),
        }
        if fields.one("decision") == Ok(Some("deny")) {
            return match self.ask_transaction(&asked.id, transaction::Command::End { ends }).await {
                Ok(transaction::Reply::Open { .. }) => {
                    self.audit("consent_denied", &[("client", &client_kind(&asked.client_id))]);
                    self.leave(
                        &asked,
                        &[("error", "access_denied"), ("error_description", "The person declined.")],
                        true,
                    )
                }
                Ok(transaction::Reply::Ended) => self.ended(),
                Err(_) => self.unavailable_page(),
            };
        }
        match (fields.one("decision"), &self.config.tidb_cloud_oauth) {
            (Ok(Some("tidbcloud")), Some(client)) if self.config.owner.is_none() => {
                let Some(scope) = chosen_scope(&fields) else {
                    let problems = [problem("scope", 0, "Choose what the client may do, or cancel.")];
                    return self.consent_page(
                        400,
                        &asked,
                        csrf,
                        &Consent { problems: &problems, ..Consent::default() },
                    );
                };
                match self.count_try(&asked, false, &[]).await {
                    Ok(_) => self.begin_sign_in(client, &asked, csrf, scope).await,
                    Err(refused) => refused,
                }
            }
            (Ok(Some("poll")), Some(client)) if self.config.owner.is_none() => {
                let device = fields.one("device").ok().flatten().unwrap_or_default();
                match self.finish_sign_in(client, &asked, csrf, device).await {
                    SignedIn::Yes(scope, contents) => self.grant(&asked, scope, &contents).await,
                    SignedIn::No(response) => response,
                }
            }
            // A form that is sent by the Enter key has no button.
            (Ok(None | Some("allow")), _) => self.decide(&asked, csrf, &fields).await,
            _ => self.refusal(400, "invalid_request", "The form says neither that you allow nor that you decline."),
        }
    }

    /// Counts one try of credentials; the tries that are left after it. Who is known to have the access key, or keys that
    /// TiDB Cloud takes, is not kept out by others who guess from the same address.
    async fn count_try(&self, asked: &Asked, is_owner: bool, keys: &[&ApiKey]) -> Result<u8, Response> {
        if !is_owner {
            self.guard_try(keys).await.map_err(|guarded| self.guarded_page(guarded))?;
        }
        match self.ask_transaction(&asked.id, transaction::Command::Try { ends: asked.ends }).await {
            Ok(transaction::Reply::Open { tries_left }) => Ok(tries_left),
            Ok(transaction::Reply::Ended) => Err(self.ended()),
            Err(_) => Err(self.unavailable_page()),
        }
    }

    /// Ends the page and makes the grant: the answer that leads back to the client.
    pub(super) async fn grant(&self, asked: &Asked, scope: Scope, contents: &Contents) -> Response {
        match self.ask_transaction(&asked.id, transaction::Command::End { ends: asked.ends }).await {
            Ok(transaction::Reply::Open { .. }) => {}
            Ok(transaction::Reply::Ended) => return self.ended(),
            Err(_) => return self.unavailable_page(),
        }
        match self.make_grant(asked, scope, contents).await {
            Ok(code) => {
                let mut answer = vec![("code", code.as_str())];
                answer.extend(asked.state.as_deref().map(|state| ("state", state)));
                self.leave(asked, &answer, false)
            }
            Err(response) => response,
        }
    }

    pub(super) fn ended(&self) -> Response {
        self.refusal(400, "invalid_request", "This page has ended. Go back to the client and connect again.")
    }

    async fn decide(&self, asked: &Asked, csrf: &str, fields: &Fields) -> Response {
        let kept = kept(fields);
        let aliases = fields.all("aliases").next().unwrap_or_default();
        let again = |status, problems: &[Problem<'_>], tries_left: Option<u8>| {
            let more = Consent {
                problems,
                kept: &kept,
                kept_aliases: aliases,
                kept_scope: chosen_scope(fields),
                tries_left: tries_left.map(u32::from),
                ..Consent::default()
            };
            self.consent_page(status, asked, csrf, &more)
        };
        let mut filled = read(fields, self.config.owner.is_some());
        let access_key = fields.one("accessKey").ok().flatten().unwrap_or_default();
        if self.config.owner.is_some() && access_key.is_empty() {
            filled.problems.push(problem("accessKey", 0, "Type the access key of this deployment."));
        }
        let Some(scope) = filled.scope.filter(|_| filled.problems.is_empty()) else {
            return again(400, &filled.problems, None);
        };
        let is_owner = self.config.owner.as_ref().is_some_and(|owner| owner.access_key.matches(access_key));
        let keys = filled.contents.organizations.iter().filter_map(|organization| match &organization.credential {
            Credential::Key(key) => Some(key),
            Credential::SignIn(_) => None,
        });
        let keys: Vec<&ApiKey> = keys.collect();
        let tries_left = match self.count_try(asked, is_owner, &keys).await {
            Ok(tries_left) => tries_left,
            Err(refused) => return refused,
        };
        let refused = |field, message| {
            self.audit("consent_refused", &[("client", &client_kind(&asked.client_id))]);
            if tries_left == 0 {
                return self.refusal(
                    400,
                    "access_denied",
                    "That was the last try. Go back to the client and connect again.",
                );
            }
            again(400, &[problem(field, 0, message)], Some(tries_left))
        };
        if self.config.owner.is_some() {
            if !is_owner {
                return refused("accessKey", "This is not the access key of this deployment.");
            }
        } else {
            for key in &keys {
                match self.check(&(*key).clone().into()).await {
                    Checked::Accepted => {}
                    Checked::Refused => {
                        return refused(
                            "publicKey",
                            "TiDB Cloud does not accept these keys. Check every pair, and that it is not deleted.",
                        );
                    }
                    Checked::Guarded(guarded) => return self.guarded_page(guarded),
                    Checked::Unknown => {
                        let message = "TiDB Cloud did not say whether it takes these keys. Try again in a moment.";
                        return again(503, &[problem("publicKey", 0, message)], Some(tries_left))
                            .with("retry-after", "5");
                    }
                }
            }
        }
        // Its page, itself and its client's document, and for each key an index and the grant that has to make room there: what
        // is begun has to be finished.
        let objects = keys.iter().map(|_| 2).sum::<u32>() + 3;
        if !self.port.io.may_send(objects) {
            return self.unavailable_page();
        }
        self.grant(asked, scope, &filled.contents).await
    }

    /// Seals what was given into a new grant; its code.
    async fn make_grant(&self, asked: &Asked, scope: Scope, contents: &Contents) -> Result<String, Response> {
        let now = self.now();
        let random = |bytes: &mut [u8]| self.random(bytes);
        let id = GrantId::new(self.keyring, &random);
        let code = Token::new(Kind::Code, &id, &random);
        let owner = self.config.owner.as_ref().map(|owner| self.owner_hash(owner.access_key.expose()));
        let subject = match contents.organizations.first().map(|organization| &organization.credential) {
            Some(Credential::Key(key)) => key.public().as_bytes(),
            Some(Credential::SignIn(sign_in)) => sign_in.subject.as_bytes(),
            None => b"owner",
        };
        let subject = base64url(&self.keyring.mac("subject v1", &[subject]));
        let resource = resource(self.origin);
        let data_key = DataKey::new(&random);
        let bound_to = bound_to(id.as_str(), &subject, &asked.client_id, &resource);
        let sealed = contents.write(&asked.view).and_then(|text| data_key.seal(&bound_to, &text, &random));
        let wrapped = self.keyring.wrap(&code.wrapping(), &data_key, &random);
        let (Some(sealed), Some(wrapped)) = (sealed, wrapped) else { return Err(self.unavailable_page()) };
        let record = Record {
            v: 1,
            client: grant::Client {
                id: asked.client_id.clone(),
                name: asked.client_name.clone(),
                redirect_uri: asked.redirect_uri.clone(),
            },
            resource,
            scope: StoredScope(scope),
            subject,
            created: now.0,
            used: now.0,
            owner,
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
        };
        let place = RedirectUri::parse(&asked.redirect_uri).map(|uri| uri.place()).unwrap_or_default();
        let entry = |organization: &str| Entry {
            grant: id.as_str().to_owned(),
            client_name: asked.client_name.clone(),
            client_host: asked.document_host.clone().unwrap_or_else(|| place.clone()),
            organization: organization.to_owned(),
            created: now.0,
            ends: now.0.saturating_add(LIFE_MILLIS),
        };
        // The index first: a grant that nobody could list and revoke must not come to be.
        let entries: Vec<_> = if self.config.owner.is_some() {
            vec![(self.owner_index(), entry(""))]
        } else {
            // A sign-in at TiDB Cloud is listed, and ended, there: "Authorized OAuth Apps" of the account.
            let of_key = |organization: &Organization| match &organization.credential {
                Credential::Key(key) => Some((self.key_index(key), entry(&organization.name))),
                Credential::SignIn(_) => None,
            };
            contents.organizations.iter().filter_map(of_key).collect()
        };
        for (name, entry) in entries {
            match self.ask_index(&name, index::Command::Add(entry)).await {
                Ok(index::Reply::Evicted { grant }) => {
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
        match self.ask_grant(&id, grant::Command::Create(Box::new(record))).await {
            Ok(grant::Reply::Done) => {}
            _ => return Err(self.unavailable_page()),
        }
        if asked.document_host.is_some() {
            // A grant does not depend on it: where it fails, the document is known for a day.
            let _ = self.ask_document(&asked.client_id, document::Command::Remember).await;
        }
        self.audit(
            "consent",
            &[("grant", short(&id)), ("client", &client_kind(&asked.client_id)), ("scope", scope.as_str())],
        );
        Ok(code.expose())
    }

    /// Name of the index of the grants that hold a key.
    pub(super) fn key_index(&self, key: &ApiKey) -> [u8; 32] {
        self.keyring.mac("index of a key v1", &[key.public().as_bytes()])
    }

    /// Name of the index of an owner's grants.
    pub(super) fn owner_index(&self) -> [u8; 32] {
        self.keyring.mac("index of the owner v1", &[])
    }

    /// What an owner's grant remembers of the access key.
    fn owner_hash(&self, access_key: &str) -> String {
        base64url(&self.keyring.mac("access key v1", &[access_key.as_bytes()]))
    }

    /// The page that leads back to the client, by a link and by itself. A redirect would be blocked: the policy of the page
    /// that was posted holds for where its form ends up as well (CSP Level 3 section 6.4.2, as Chromium has it).
    fn leave(&self, asked: &Asked, answer: &[(&str, &str)], denied: bool) -> Response {
        let Ok(redirect) = RedirectUri::parse(&asked.redirect_uri) else {
            return self.refusal(400, "invalid_request", "The page is not what it was.");
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

/// The strongest scope that was ticked.
fn chosen_scope(fields: &Fields) -> Option<Scope> {
    fields.all("scope").flat_map(|text| text.split(' ')).filter_map(Scope::parse).max()
}

/// What can be shown again: never a secret.
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

/// Reads the form and names everything that is wrong with it.
fn read(fields: &Fields, owner: bool) -> Filled {
    let mut problems = Vec::new();
    let scope = chosen_scope(fields);
    if scope.is_none() {
        problems.push(problem("scope", 0, "Choose what the client may do, or cancel."));
    }
    let mut contents = Contents::default();
    if !owner {
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for set in 0..SETS_MAX {
            let at = |name: &'static str| fields.all(name).nth(set).unwrap_or_default().trim();
            let (public, private, name) = (at("publicKey"), at("privateKey"), at("name"));
            let (cluster, user, password) = (at("sqlCluster"), at("sqlUser"), at("sqlPassword"));
            if [public, private, name, cluster, user, password].iter().all(|text| text.is_empty()) {
                continue;
            }
            let mut wrong = |field, message| problems.push(problem(field, set, message));
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
            let name = if name.is_empty() { default_name(set) } else { name.to_owned() };
            if !is_name(&name) {
                wrong("name", "A name has 1 to 64 letters, digits, spaces, dots, hyphens and underscores.");
            }
            if !names.insert(name.to_lowercase()) {
                wrong("name", "Two organizations have this name.");
            }
            if !public.is_empty() && !keys.insert(public.to_owned()) {
                wrong("publicKey", "This key stands here twice.");
            }
            let sql = match (user.is_empty(), password.is_empty()) {
                (true, true) if cluster.is_empty() => None,
                (false, false) => {
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
                _ => {
                    wrong("sqlUser", "A SQL user needs a name and a password, or neither.");
                    None
                }
            };
            if let Some(key) = key {
                contents.organizations.push(Organization { name, credential: Credential::Key(key), sql });
            }
        }
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

fn default_name(set: usize) -> String {
    if set == 0 { "default".to_owned() } else { format!("organization-{}", set + 1) }
}

fn is_name(name: &str) -> bool {
    let inner = |character: char| character.is_ascii_alphanumeric() || " ._-".contains(character);
    name.len() <= NAME_CHARACTERS_MAX
        && name.chars().all(inner)
        && name.starts_with(|character: char| character.is_ascii_alphanumeric())
}
