//! Widening a grant without typing the keys again, as a client asks after a 403 `insufficient_scope`.
//!
//! The cookie of the browser that the grant was allowed in proves it ([`super::browser`]), and opens its data key. Nothing else of the
//! grant can become more: the wider one has the same keys, organizations and tools, and its code goes to the same address.

use super::{
    Contents, Server,
    authorize::Asked,
    browser::mark,
    consent::{NO_SCOPE, Sent, chosen_scope, problem},
    page::{self, Problem},
    redirect::RedirectUri,
};
use crate::{
    base::{
        http::{Head, Response},
        scope::Scope,
    },
    catalogue::Narrowing,
    store::{
        grant::{Command, Presence, Reply},
        token::GrantId,
    },
};

/// Whether a request widens a grant.
pub(super) enum StepUp {
    /// It does.
    Of(Box<Wider>),
    /// It takes the keys; why, if the client was connected in this browser before. Else empty.
    Not(&'static str),
}

/// A grant that can be widened.
pub(super) struct Wider {
    /// Its id.
    pub(super) id: String,
    /// What the client called itself when it was allowed.
    pub(super) client_name: String,
    /// What it may do already.
    pub(super) scope: Scope,
    /// When its keys were given.
    proved: u64,
    /// How the wider one narrows the tools: as this one does, or more.
    pub(super) view: Narrowing,
    /// Its contents.
    pub(super) contents: Contents,
}

impl Server<'_> {
    /// The grant of this browser that a request widens. It costs nothing where only reading is asked for.
    pub(super) async fn held_wider(&self, head: &Head, asked: &Asked, redirect: &RedirectUri) -> StepUp {
        let mut found = StepUp::Not("");
        if Scope::parse(&asked.scope).unwrap_or_default() == Scope::Read || asked.view.is_read_only() {
            return found;
        }
        let mark = mark(&asked.client_id, redirect);
        for held in self.held(head).iter().filter(|held| held.is_marked(&mark)) {
            found = match (found, self.widened_by(held, asked, redirect).await) {
                (found, StepUp::Not("")) => found,
                (StepUp::Not(""), one) => one,
                // Two accounts at one client look alike here: what one asks for is not the other's.
                _ => {
                    return StepUp::Not(
                        "it has several connections from this browser, and this server cannot see which of them asks",
                    );
                }
            };
        }
        found
    }

    async fn widened_by(&self, held: &super::browser::Held, asked: &Asked, redirect: &RedirectUri) -> StepUp {
        const NOTHING: StepUp = StepUp::Not("");
        const ON_THIS_DEVICE: StepUp =
            StepUp::Not("its answer goes to a program on this device, and another could take its place");
        let Some(id) = GrantId::parse(held.id(), self.keyring) else { return NOTHING };
        let command = Command::StepUp {
            hash: held.fingerprint(),
            client_id: asked.client_id.clone(),
            redirect_uri: asked.redirect_uri.clone(),
        };
        let wants = Scope::parse(&asked.scope).unwrap_or_default();
        let opened = match self.ask_grant(&id, command).await {
            Ok(Reply::Opened(opened)) if wants > opened.scope.0 => {
                let is_owned = opened.owner.is_some() == self.config.owner.is_some();
                if !is_owned || !self.is_of_this_owner(opened.owner.as_deref()) {
                    return NOTHING;
                }
                if !redirect.is_remote() {
                    return ON_THIS_DEVICE;
                }
                opened
            }
            Ok(Reply::NotWidened { scope, presence, is_late }) if wants > scope.0 => {
                // A browser that has nothing but a cookie of an earlier access key learns nothing of the grant.
                if !self.still_counts(held).await.unwrap_or_default() {
                    return NOTHING;
                }
                return StepUp::Not(match presence {
                    _ if !redirect.is_remote() => return ON_THIS_DEVICE,
                    Presence::Absent => "it works without asking you",
                    _ if is_late => "no call of it was refused in the last ten minutes, or you cancelled since",
                    _ if self.config.tidb_cloud_oauth.is_some() => {
                        "it was connected by a sign-in at TiDB Cloud, or before this server could do without"
                    }
                    _ => "it was connected before this server could do without",
                });
            }
            _ => return NOTHING,
        };
        let contents = self
            .keyring
            .unwrap(&held.wrapping(), &opened.wrapped)
            .and_then(|data_key| data_key.open(&opened.bound_to(id.as_str()), &opened.contents))
            .and_then(|text| Contents::read(&text));
        let Some(contents) = contents else { return NOTHING };
        match asked.view.out_of(&contents.view) {
            Some(view) if view.is_read_only() => NOTHING,
            Some(view) => {
                let (id, client_name) = (held.id().to_owned(), opened.client.name);
                StepUp::Of(Box::new(Wider {
                    id,
                    client_name,
                    scope: opened.scope.0,
                    proved: opened.created,
                    view,
                    contents,
                }))
            }
            None => StepUp::Not("its address names tools, a cluster or a branch that you did not allow it"),
        }
    }

    /// The page with what the client asks for beyond what it has.
    pub(super) fn step_up_page(
        &self,
        status: u16,
        asked: &Asked,
        csrf: &str,
        has: Scope,
        problems: &[Problem<'_>],
    ) -> Response {
        let (sealed, nonce) = (self.sealed(asked), self.nonce());
        let place = RedirectUri::parse(&asked.redirect_uri).map(|uri| uri.place()).unwrap_or_default();
        let page = page::StepUp {
            client_name: &asked.client_name,
            redirect_host: &place,
            has,
            wants: Scope::parse(&asked.scope).unwrap_or_default(),
            narrowed: &asked.view.in_words(),
            transaction: &sealed,
            csrf,
            problems,
            nonce: &nonce,
        };
        self.page(status, &nonce, page::step_up(&page))
    }

    /// The person's decision on it. The grant is asked again: it may have ended, and ten minutes may be over.
    pub(super) async fn answer_step_up(&self, head: &Head, sent: &Sent) -> Response {
        let Sent { asked, csrf, fields } = sent;
        match fields.one("decision") {
            Ok(Some("deny")) => return self.decline_wider(asked).await,
            Ok(Some("allow")) => {}
            _ => {
                return self.refusal(400, "invalid_request", "The form does not say whether you allow or decline.");
            }
        }
        let held = self.held(head).into_iter().find(|held| Some(held.id()) == asked.widens.as_deref());
        let grant = match (held, RedirectUri::parse(&asked.redirect_uri)) {
            (Some(held), Ok(redirect)) => match self.widened_by(&held, asked, &redirect).await {
                StepUp::Of(grant) => Some(grant),
                StepUp::Not(_) => None,
            },
            _ => None,
        };
        let Some(grant) = grant else { return self.ended() };
        let chosen = chosen_scope(fields).filter(|scope| *scope > grant.scope);
        let wants = Scope::parse(&asked.scope).unwrap_or_default();
        let Some(scope) = chosen.filter(|scope| *scope <= wants) else {
            return self.step_up_page(400, asked, csrf, grant.scope, &[problem("scope", 0, NO_SCOPE)]);
        };
        // Its page, itself and its client's document, and for each organization an index, twice if the grant that it widens is the
        // oldest there, and the grant that has to make room.
        let objects = grant.contents.organizations.iter().map(|_| 3).sum::<u32>() + 5;
        if !self.port.io.may_send(objects) {
            return self.unavailable_page();
        }
        let (proved, presence) = (Some(grant.proved), grant.contents.presence);
        let asked = Asked { view: grant.view, presence, proved, ..asked.clone() };
        self.grant(head, &asked, scope, &grant.contents).await
    }

    /// A person who declines is not asked again for the calls that were refused so far.
    async fn decline_wider(&self, asked: &Asked) -> Response {
        let grant = asked.widens.as_deref().and_then(|id| GrantId::parse(id, self.keyring));
        if let Some(grant) = grant
            && self.ask_grant(&grant, Command::Declined).await.is_err()
        {
            return self.unavailable_page();
        }
        self.deny(asked).await
    }
}
