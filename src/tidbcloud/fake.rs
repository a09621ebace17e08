//! The outside world of these tests: a TiDB Cloud that answers by script, a clock that only waiting moves, and one caller in
//! a fresh isolate.
//!
//! A line of a conversation is `METHOD path?query`, then `body` where there is one, then `nonce/nc` where it is signed.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};

use super::*;
use crate::{
    base::{clock::UnixMillis, future::Pending, http::Response, secret::Secret},
    port::{FetchError, Flow, Io, Log, Outbound, RequestLog, Sink, allowance::Allowance},
};

/// Stands in an answer for the idempotency key of the latest creation.
pub(crate) const SENT_KEY: &str = "<the key that was sent>";

/// Answers each request with the next line of its script.
#[derive(Default)]
pub(crate) struct Fake {
    script: RefCell<VecDeque<Result<Response, FetchError>>>,
    pub(crate) sent: RefCell<Vec<Outbound>>,
    sent_key: RefCell<String>,
    clock: Cell<u64>,
    drawn: Cell<u8>,
}

impl Fake {
    pub(crate) fn new(script: impl IntoIterator<Item = Result<Response, FetchError>>) -> Self {
        Self { script: RefCell::new(script.into_iter().collect()), clock: Cell::new(START.0), ..Self::default() }
    }

    pub(crate) fn then(&self, script: impl IntoIterator<Item = Result<Response, FetchError>>) {
        self.script.borrow_mut().extend(script);
    }

    /// What was sent since the last call: method, path and query, one line each; the script is then used up.
    pub(crate) fn lines(&self) -> Vec<String> {
        assert!(self.script.borrow().is_empty(), "{} answers were not asked for", self.script.borrow().len());
        let line = |sent: &Outbound| {
            let query = sent.url.query().map(|query| format!("?{query}")).unwrap_or_default();
            let signed = match sent.headers.get("authorization") {
                Some(value) if value.starts_with("Digest ") => {
                    // RFC 7616 section 3.4: what is signed is the request target as sent.
                    assert!(value.contains(&format!(" uri=\"{}{query}\"", sent.url.path())), "{value}");
                    let part = |name: &str| Some(value.split(name).nth(1)?.split(['"', ',']).next()?.to_owned());
                    format!(" {}/{}", part(" nonce=\"").unwrap(), part(" nc=").unwrap().trim_start_matches('0'))
                }
                Some(value) if value.starts_with("Bearer ") => " bearer".to_owned(),
                Some(_) => " basic".to_owned(),
                None => String::new(),
            };
            let body = if sent.body.is_some() { " body" } else { "" };
            format!("{} {}{query}{body}{signed}", sent.method.as_str(), sent.url.path())
        };
        self.sent.take().iter().map(line).collect()
    }

    /// The body of the last request.
    pub(crate) fn last_body(&self) -> Value {
        let sent = self.sent.borrow();
        serde_json::from_slice(sent.last().unwrap().body.as_ref().unwrap()).unwrap()
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.clock.set(self.clock.get() + u64::try_from(duration.as_millis()).unwrap());
    }
}

/// 2026-01-31T12:00:00Z
pub(crate) const START: UnixMillis = UnixMillis(1_769_860_800_000);

pub(crate) fn ok(body: Value) -> Result<Response, FetchError> {
    Ok(Response::json(200, body.to_string()))
}

pub(crate) fn status(status: u16, body: Value) -> Result<Response, FetchError> {
    Ok(Response::json(status, body.to_string()))
}

/// A 401 with a challenge.
pub(crate) fn challenge(nonce: &str, stale: bool) -> Result<Response, FetchError> {
    let value = format!(
        "Digest realm=\"tidb.cloud\", domain=\"\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\", stale={stale}"
    );
    Ok(Response::json(401, r#"{"code":16,"message":"unauthorized"}"#).with("www-authenticate", value))
}

impl Fake {
    async fn answer(&self, request: Outbound, sink: &mut dyn Sink) -> Result<Response, FetchError> {
        let timeout = request.timeout;
        let line = format!("{} {}", request.method.as_str(), request.url);
        let body: Option<Value> = request.body.as_deref().and_then(|body| serde_json::from_slice(body).ok());
        if let Some(Value::String(key)) = body.as_ref().and_then(|body| body.pointer("/labels/mcp-idempotency-key")) {
            self.sent_key.replace(key.clone());
        }
        self.sent.borrow_mut().push(request);
        // Others run while an answer is awaited.
        tokio::task::yield_now().await;
        let next = self.script.borrow_mut().pop_front();
        let answer = next.unwrap_or_else(|| panic!("no answer is left for {line}"));
        self.advance(if matches!(answer, Err(FetchError::Timeout)) { timeout } else { Duration::from_millis(20) });
        let mut answer = answer?;
        if let Ok(body) = String::from_utf8(answer.body.clone()) {
            answer.body = body.replace(SENT_KEY, &self.sent_key.borrow()).into_bytes();
        }
        sink.begin(answer.status);
        // Odd pieces: what belongs together arrives apart.
        for piece in answer.body.chunks(7) {
            if sink.take(piece)? == Flow::Enough {
                break;
            }
        }
        Ok(Response { body: Vec::new(), ..answer })
    }
}

impl Io for Fake {
    fn exchange<'a>(&'a self, request: Outbound, sink: &'a mut dyn Sink) -> Pending<'a, Result<Response, FetchError>> {
        Box::pin(self.answer(request, sink))
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.get())
    }

    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        Box::pin(async move { self.advance(duration) })
    }

    fn random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            self.drawn.set(self.drawn.get().wrapping_add(1));
            *byte = self.drawn.get();
        }
    }
}

/// Keeps nothing of what is logged.
pub(crate) fn no_log() -> &'static RequestLog<'static> {
    Box::leak(Box::new(RequestLog::new(&Nowhere, &Nowhere, 0)))
}

struct Nowhere;

impl Log for Nowhere {
    fn write(&self, _: &str) {}
}

impl Io for Nowhere {
    fn exchange<'a>(&'a self, _: Outbound, _: &'a mut dyn Sink) -> Pending<'a, Result<Response, FetchError>> {
        Box::pin(async { Err(FetchError::Unreachable) })
    }

    fn now(&self) -> UnixMillis {
        START
    }

    fn sleep(&self, _: Duration) -> Pending<'_, ()> {
        Box::pin(async {})
    }

    fn random(&self, _: &mut [u8]) {}
}

const PRIVATE_KEY: &str = "canary-private-key";

/// One caller in a fresh isolate.
pub(crate) struct Scene {
    pub(crate) fake: Fake,
    pub(crate) hosts: Hosts,
    pub(crate) authenticator: Authenticator,
    pub(crate) memory: Memory,
    pub(crate) server_secret: Secret,
    pub(crate) own_login: Option<SqlLogin>,
    pub(crate) allowance: Allowance,
}

pub(crate) type Script = Vec<Result<Response, FetchError>>;

pub(crate) fn scene(script: Script) -> Scene {
    Scene {
        fake: Fake::new(script),
        hosts: Hosts::real(),
        authenticator: ApiKey::new("SBXOWNER", PRIVATE_KEY).unwrap().into(),
        memory: Memory::new(),
        server_secret: Secret::new("canary-server-secret"),
        own_login: None,
        allowance: Allowance::new(START),
    }
}

impl Scene {
    /// A call that may take 28 s.
    pub(crate) fn cloud(&self) -> Cloud<'_> {
        self.cloud_for(Duration::from_secs(28))
    }

    /// A call that may take this long.
    pub(crate) fn cloud_for(&self, time: Duration) -> Cloud<'_> {
        let deadline = self.fake.now().after(time);
        Cloud::new(&self.fake, no_log(), &self.hosts, &self.authenticator, &Unwatched, &self.memory, deadline)
    }

    /// SQL that may take 55 s.
    pub(crate) fn sql(&self) -> Databases<'_> {
        self.sql_for(Duration::from_secs(55))
    }

    /// SQL that may take this long.
    pub(crate) fn sql_for(&self, time: Duration) -> Databases<'_> {
        self.cloud_for(time).sql(&self.server_secret, self.own_login.as_ref(), &self.allowance)
    }

    /// One warm nonce, `warm`, for the control plane and one for IAM, each used once.
    pub(crate) async fn warmed(script: Script) -> Self {
        let scene = scene(vec![challenge("warm", false), ok(json!({})), challenge("iam", false)]);
        scene.cloud().regions().await.unwrap();
        scene.fake.then([status(404, json!({}))]);
        scene.cloud().sql_user(&id(), "x").await.unwrap_err();
        scene.fake.lines();
        scene.fake.then(script);
        scene
    }
}

pub(crate) fn id() -> ClusterId {
    "10581234567890123456".parse().unwrap()
}

pub(crate) fn branch_id() -> BranchId {
    "bran-0123456789abcdefghijklmnop".parse().unwrap()
}

pub(crate) fn new_cluster() -> NewCluster {
    NewCluster {
        display_name: "shop".parse().unwrap(),
        region: "regions/aws-us-east-1".parse().unwrap(),
        spending_limit: Some(UsdCents::try_from(500).unwrap()),
        auto_scaling: None,
        labels: BTreeMap::new(),
    }
}

pub(crate) fn cluster(number: &str, name: &str, created: &str) -> Value {
    json!({ "clusterId": number, "displayName": name, "createTime": created, "state": "CREATING" })
}

/// An active instance with an endpoint and a prefix.
pub(crate) fn active() -> Value {
    json!({ "clusterId": id(), "branchId": branch_id(), "state": "ACTIVE", "userPrefix": "2aEp24QWEDLqRFs",
        "servicePlan": "Starter",
        "endpoints": { "public": { "host": "gateway01.us-east-1.prod.aws.tidbcloud.com", "port": 4000 } } })
}

pub(crate) fn body_lost() -> Result<Response, FetchError> {
    Ok(Response::json(200, r#"{"clusterId": "105"#))
}

pub(crate) fn query(sql: &str) -> Query<'_> {
    Query { sql, whole_values: false, skipped_rows: 0 }
}

pub(crate) const CLASS: AccessClass = AccessClass::ReadOnly;

pub(crate) fn on_cluster() -> Target {
    Target { cluster: id(), branch: None }
}

pub(crate) fn on_branch() -> Target {
    Target { cluster: id(), branch: Some(branch_id()) }
}

pub(crate) fn shop() -> DatabaseName {
    DatabaseName::try_from("shop".to_owned()).unwrap()
}

pub(crate) fn rows() -> Result<Response, FetchError> {
    in_session(
        "",
        json!({ "types": [{ "name": "n", "type": "BIGINT", "nullable": false }], "rows": [["1"], [null]],
        "rowsAffected": null, "sLastInsertID": null }),
    )
}

pub(crate) fn changed() -> Value {
    json!({ "types": null, "rows": null, "rowsAffected": 2, "sLastInsertID": "7" })
}

pub(crate) fn in_session(session: &str, body: Value) -> Result<Response, FetchError> {
    ok(body).map(|answer| answer.with("TiDB-Session", session))
}

pub(crate) fn no_login() -> Result<Response, FetchError> {
    status(401, json!({ "message": "Error 1045 (28000): Access denied for user 'x'@'%'", "code": "1045" }))
}
