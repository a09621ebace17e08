//! Tool calls of one request: the last doors, and the answer.

use std::cell::{Cell, RefCell};

use super::{
    Refusal, Request,
    admission::Caller,
    deployment::Deployed,
    doors,
    doors::credentials::Credential,
    pace::Paced,
    parsing::{Message, Parsed},
    passage::Passage,
    person::{Connected, Live, session, session::Session},
};
use crate::{
    app::{INSTRUCTIONS, NAME, TITLE, VERSION, response},
    base::{http::Response, secret::Secret},
    catalogue::{Organization, Tools, View},
    config::Config,
    limits::{keys::CredentialHash, witness::Witness},
    mcp, oauth,
    store::grant::Presence,
    tidbcloud::{ApiKey, alias::Aliases},
};

/// A request with everything that its tools need.
pub(super) struct Call<'r> {
    request: Request<'r>,
    caller: Caller,
    message: Message,
    /// What SQL passwords are derived from.
    secret: Secret,
}

impl<'r> Parsed<'r> {
    /// Gets what the tools need.
    pub(super) async fn prepare(self) -> Result<Call<'r>, Refusal> {
        let Self { request, caller, message } = self;
        if caller.organizations(request.config()).is_empty() {
            return Err(Refusal::unavailable());
        }
        let secret = request.app.secret().await?;
        Ok(Call { request, caller, message, secret })
    }
}

impl Call<'_> {
    /// Passes the last doors, and answers.
    pub(super) async fn answer(self, passage: &mut Passage<'_>) -> Result<Response, Refusal> {
        let Self { request, caller, message, secret } = self;
        let organizations = caller.organizations(request.config());
        let aliases = caller.aliases(request.config());
        let witness = caller.witness(request);
        let log = &request.app.log;
        let origin = oauth::origin(request.head, request.config());
        let address = oauth::resource(&origin);
        let principal = caller.principal();
        let declared = message.initializes();
        let session = Session::of(&request.head.headers, &principal, &caller.keyring, request.port().io.now());
        let can_stream = session.is_some() && message.may_ask_on_stream() && mcp::accepts_events(&request.head.headers);
        let person = Connected {
            port: request.port(),
            log,
            live: can_stream.then(|| request.stream(passage)),
            session,
            principal,
            origin,
            presence: caller.presence(),
            keyring: &caller.keyring,
            answered: RefCell::default(),
            asked: RefCell::default(),
            agreed: Cell::default(),
            places: RefCell::default(),
        };
        let pace = Paced {
            port: request.port(),
            config: request.config(),
            limits: &request.app.isolate.limits,
            credential: caller.principal(),
            noted: &log.noted,
            slots: RefCell::default(),
        };
        let deployment = Deployed { app: request.app, caller: &caller, origin: &person.origin };
        let view = View {
            catalogue: request.app.tools.0,
            narrowing: &caller.narrowing,
            asked: &caller.asked,
            scope: caller.session.as_ref().map(|session| session.scope),
            organizations: &organizations,
            address: &address,
        };
        let tools = Tools {
            view,
            io: request.port().io,
            log,
            person: &person,
            allowance: &request.app.metered.allowance,
            hosts: &request.config().hosts,
            witness: &witness,
            memory: &request.app.isolate.memory,
            homes: &request.app.isolate.homes,
            secret: &secret,
            pace: &pace,
            deployment: &deployment,
            aliases: &aliases,
            sql_tags: request.config().sql_tags,
            rows_guard: request.config().rows_guard,
        };
        doors::requests::check(&message, &tools)?;
        doors::scope::check(request, &caller, &message, &tools).await?;
        let server = mcp::Server {
            name: NAME,
            title: TITLE,
            version: VERSION,
            instructions: &view.instructions(INSTRUCTIONS),
            instructions_are_own: caller.session.is_some(),
            ids: mcp::Ids { request: &log.request_id, trace: &log.trace().id() },
        };
        let reply = mcp::dispatch(&server, message, &tools).await;
        passage.line.answered(&reply);
        let mut response = reply.response;
        if person.has_streamed() {
            response.body = mcp::event(&String::from_utf8_lossy(&response.body)).into_bytes();
        }
        if let Some(declared) = declared.filter(|_| reply.rpc_error.is_none()) {
            response.headers.set(session::HEADER, person.session_id(declared).unwrap_or_default());
        }
        Ok(response)
    }
}

impl<'r> Request<'r> {
    /// The response to this request as a stream of events, with the header fields of every response.
    fn stream(self, passage: &Passage<'_>) -> Live<'r> {
        let head = passage.describe_limits(mcp::stream_response(String::new()));
        let worker_version = self.config().worker_version.as_deref();
        let head = response::finish(head, self.head, &self.app.log.request_id, worker_version);
        let head = response::allow_origin(head, self.head, self.config());
        Live { stream: self.port().stream, head, has_begun: Cell::new(false) }
    }
}

impl Caller {
    /// The organizations whose keys the caller has.
    fn organizations<'c>(&'c self, config: &'c Config) -> Vec<Organization<'c>> {
        let own = self.sql_login.as_ref();
        let one = |key: &ApiKey| vec![Organization { name: "", authenticator: key.clone().into(), own_login: own }];
        match (&self.credential, &self.session) {
            (Credential::Keys(key), _) => one(key),
            (_, Some(session)) if !session.is_owner => {
                let organizations = session.contents.organizations.iter().filter_map(|organization| {
                    Some(Organization {
                        name: &organization.name,
                        authenticator: organization.credential.authenticator()?,
                        own_login: own.or(organization.sql.as_ref()),
                    })
                });
                organizations.collect()
            }
            _ => config.owner.as_ref().map(|owner| one(&owner.key)).unwrap_or_default(),
        }
    }

    /// Who is asked: nobody if the request says so, else as the grant's person chose.
    fn presence(&self) -> Presence {
        let chosen = self.session.as_ref().map(|session| session.contents.presence).unwrap_or_default();
        if self.unattended { Presence::Absent } else { chosen }
    }

    /// Who asks and answers for this caller.
    pub(super) fn principal(&self) -> CredentialHash {
        match (&self.credential, &self.session) {
            (Credential::Keys(key), _) => CredentialHash::of_keys(key, &self.keyring),
            (_, Some(session)) => CredentialHash::of_grant(&session.grant, &self.keyring),
            _ => CredentialHash::of_owner(&self.keyring),
        }
    }

    /// Short names for clusters by source, the source with higher precedence first.
    fn aliases<'c>(&'c self, config: &'c Config) -> Vec<(&'static str, &'c Aliases)> {
        let mut aliases = vec![("setting", &config.aliases)];
        aliases.extend(self.session.as_ref().map(|session| ("grant", &session.contents.aliases)));
        aliases
    }

    /// The witness of the caller's keys: in headers, from a grant, or the owner's.
    fn witness<'c>(&'c self, request: Request<'c>) -> Witness<'c> {
        let (port, config, pairs) = (request.port(), request.config(), &request.app.isolate.limits.pairs);
        match (&self.credential, &self.session) {
            (Credential::Keys(_), _) => Witness::of_chosen(port, config, &self.keyring, pairs, self.visitor.source()),
            (Credential::Token(_), Some(session)) if !session.is_owner => {
                Witness::of_granted(port, config, &self.keyring, pairs)
            }
            (Credential::Owner | Credential::Token(_), _) => Witness::of_owned(port, config, &self.keyring, pairs),
        }
    }
}
