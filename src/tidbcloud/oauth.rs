//! Client of TiDB Cloud's own authorization server, `https://oauth.tidbcloud.com`.
//!
//! Published are only the grant types: device code and authorization code, for clients that PingCAP has registered
//! (TiDB Cloud documentation, "OAuth 2.0"). The calls are not documented. Device authorization, the device code grant,
//! revocation and user info are as TiDB Cloud's command line client sends them (`tidbcloud-cli`, `internal/cli/auth`),
//! which differs from RFC 8628 in one thing: bodies are JSON, not forms. Refreshing and the
//! authorization code grant are guesses, made of the same address and RFC 6749 and 7636; where its page is, is not published.

use std::{error::Error, fmt, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;

use super::{
    Answer, ApiError, Hosts,
    auth::bearer::{is_subject, is_token},
    cause::{self, Link},
    service::OAUTH,
    tolerant::{filled, integer},
    transport::{
        answer::read_answer,
        call::bytes,
        hosts::Path,
        send::{Operation, Request, Sender},
    },
};
use crate::{
    base::{
        clock::UnixMillis,
        http::{Method, Response},
        secret::Secret,
    },
    port::{Io, RequestLog},
};

/// 8 s, as for every other call of the API.
const TIMEOUT: Duration = Duration::from_secs(8);
/// 64 KiB: two tokens of 4 KiB each, and room for what else may stand beside them.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// The default wait between polls (RFC 8628 section 3.2, `interval`).
const INTERVAL: Duration = Duration::from_secs(5);
/// A longer wait between polls would only tire the person who waits.
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Twice as long as in the example of RFC 8628 section 3.2: a person who has not agreed by then starts over.
const DEVICE_LIFE_MAX: Duration = Duration::from_secs(3_600);
/// A code that can be typed from one screen into another.
const USER_CODE_CHARS_MAX: usize = 64;
/// Codes and refresh tokens: as long as the access token may be.
const OPAQUE_BYTES_MAX: usize = 4_096;

/// TiDB Cloud's own authorization server, as one client that is registered there sees it.
///
/// Each method sends one request and never repeats it: codes and refresh tokens may work only once, so after a lost
/// answer nobody knows whether they still do.
pub struct AuthorizationServer<'a> {
    sender: Sender<'a>,
    client_id: &'a str,
    client_secret: &'a Secret,
}

/// A device authorization that has begun (RFC 8628 section 3.2).
pub struct DeviceAuthorization {
    /// The code to request tokens with.
    pub device_code: Secret,
    /// The code that the person compares or types: 1 to 64 visible characters and spaces, for example `WDJB-MJHT`.
    pub user_code: String,
    /// Where the person goes: `https`, or a page of the sandbox.
    pub verification_uri: Url,
    /// The same place with the code filled in, if there is one.
    pub verification_uri_complete: Option<Url>,
    /// How long the codes live.
    pub expires_in: Duration,
    /// How long to wait before each request for tokens.
    pub interval: Duration,
}

/// The tokens of a grant (RFC 6749 section 5.1).
pub struct Tokens {
    /// For the API: fit for [`BearerToken`](super::BearerToken).
    pub access: Secret,
    /// How long the access token lives, if that was said.
    pub expires_in: Option<Duration>,
    /// For the next access token. If a refresh gives none, the one that was used stays valid
    /// (RFC 6749 section 6).
    pub refresh: Option<Secret>,
}

/// Whom an access token stands for. At least one of the two is there; each has 1 to 256 bytes without control
/// characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserInfo {
    /// E-mail address.
    pub email: Option<String>,
    /// Name, as the person chose it.
    pub username: Option<String>,
}

impl UserInfo {
    /// The person's identifier: the address, or else the name. Fit for
    /// [`BearerToken`](super::BearerToken).
    pub fn subject(&self) -> &str {
        self.email.as_deref().or(self.username.as_deref()).unwrap_or_default()
    }
}

/// Which token is revoked (RFC 7009 section 2.1, `token_type_hint`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// As the command line client does. Whether the refresh token ends with it is not documented.
    Access,
    /// A guess: the command line client keeps none.
    Refresh,
}

/// Why a call to the authorization server failed. No variant holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OAuthError {
    /// The person has not answered yet: `authorization_pending` (RFC 8628 section 3.5). Ask again after the interval.
    Pending,
    /// The same, and the interval grows: `slow_down`. RFC 8628 section 3.5 adds 5 s each time, the command line client
    /// 1 s.
    SlowDown,
    /// The person said no: `access_denied`.
    Denied,
    /// The device code has ended: `expired_token`.
    Expired,
    /// The server does not accept the client, code or token, or a bearer token (any other 4xx). `code` is the error of
    /// RFC 6749 section 5.2, for example `invalid_grant`; asking again does not help.
    Refused(Answer),
    /// It was not reached in time, failed, or does not speak as expected.
    Api(ApiError),
}

impl OAuthError {
    /// The failure and its causes in one line of the log, as [`ApiError::chain`] gives it.
    pub fn chain(&self) -> String {
        cause::chain(self)
    }

    /// The event, without text from others.
    fn words(&self) -> &'static str {
        match self {
            Self::Pending => "the person has not answered yet",
            Self::SlowDown => "the person has not answered yet, and is to be asked for less often",
            Self::Denied => "the person did not allow it",
            Self::Expired => "the person did not answer in time",
            Self::Refused(_) => "TiDB Cloud's authorization server refused the request",
            Self::Api(_) => "TiDB Cloud's authorization server failed",
        }
    }
}

impl Link for OAuthError {
    fn link(&self) -> String {
        match self {
            Self::Refused(Answer { status, .. }) => format!("{} (HTTP {status})", self.words()),
            Self::Api(error) => error.link(),
            _ => self.words().to_owned(),
        }
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Answer { status, code, .. }) => {
                write!(to, "{} (HTTP {status}: {})", self.words(), code.as_deref().unwrap_or("no code"))
            }
            Self::Api(error) => error.fmt(to),
            _ => to.write_str(self.words()),
        }
    }
}

impl Error for OAuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Api(error) => error.source(),
            _ => None,
        }
    }
}

impl From<ApiError> for OAuthError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

#[derive(Deserialize)]
struct WrittenDevice {
    device_code: String,
    user_code: String,
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "integer")]
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct WrittenTokens {
    access_token: String,
    #[serde(default, deserialize_with = "filled")]
    token_type: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "filled")]
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct WrittenUser {
    #[serde(default, deserialize_with = "filled")]
    email: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    username: Option<String>,
}

/// One request.
struct Exchange<'c> {
    method: Method,
    /// Without version.
    path: &'static str,
    body: Option<Value>,
    /// An access token for the header.
    bearer: Option<&'c Secret>,
    /// The secrets that no error may repeat.
    secrets: &'c [&'c str],
}

impl<'a> AuthorizationServer<'a> {
    /// `client_id` and `client_secret` are those that PingCAP gave the client. Everything ends by `deadline`.
    pub fn new(
        io: &'a dyn Io,
        log: &'a RequestLog<'a>,
        hosts: &'a Hosts,
        client_id: &'a str,
        client_secret: &'a Secret,
        deadline: UnixMillis,
    ) -> Self {
        Self { sender: Sender { io, log, hosts, deadline, trail: None }, client_id, client_secret }
    }

    /// `POST /v1/device_authorization`: begins a device authorization (RFC 8628 section 3.1). Not documented; as the
    /// command line client sends it, without the client's secret.
    pub async fn device_authorization(&self) -> Result<DeviceAuthorization, OAuthError> {
        let answer: WrittenDevice =
            self.post("device_authorization", json!({ "client_id": self.client_id }), &[]).await?;
        let page = |text: &str| Url::parse(text).ok().filter(|url| self.is_page(url));
        let is_user_code = (1..=USER_CODE_CHARS_MAX).contains(&answer.user_code.len())
            && answer.user_code.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let (Some(device_code), Some(verification_uri), Some(expires_in), true) =
            (opaque(answer.device_code), page(&answer.verification_uri), answer.expires_in, is_user_code)
        else {
            return Err(ApiError::Unexpected("a device authorization without codes, page or end").into());
        };
        Ok(DeviceAuthorization {
            device_code,
            user_code: answer.user_code,
            verification_uri,
            verification_uri_complete: answer.verification_uri_complete.as_deref().and_then(page),
            expires_in: Duration::from_secs(expires_in).min(DEVICE_LIFE_MAX),
            interval: answer.interval.map_or(INTERVAL, Duration::from_secs).min(INTERVAL_MAX),
        })
    }

    /// `POST /v1/token` with a device code (RFC 8628 section 3.4): [`OAuthError::Pending`] and
    /// [`OAuthError::SlowDown`] until the person has answered. Not documented; as the command line client sends it,
    /// without the client's secret.
    pub async fn token_by_device_code(&self, device_code: &Secret) -> Result<Tokens, OAuthError> {
        let body = json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": device_code.expose(),
            "client_id": self.client_id,
        });
        self.token(body, &[device_code.expose()]).await
    }

    /// `POST /v1/token` with a refresh token (RFC 6749 section 6). A guess: the command line client is given a refresh
    /// token and does not use it.
    pub async fn token_by_refresh_token(&self, refresh: &Secret) -> Result<Tokens, OAuthError> {
        let body = json!({
            "grant_type": "refresh_token",
            "refresh_token": refresh.expose(),
            "client_id": self.client_id,
            "client_secret": self.client_secret.expose(),
        });
        self.token(body, &[refresh.expose()]).await
    }

    /// `POST /v1/token` with an authorization code and its PKCE verifier (RFC 6749 section 4.1.3, RFC 7636
    /// section 4.5). A guess: that this grant exists is published, how it is used is not.
    pub async fn token_by_authorization_code(
        &self,
        code: &Secret,
        redirect_uri: &str,
        verifier: &Secret,
    ) -> Result<Tokens, OAuthError> {
        let body = json!({
            "grant_type": "authorization_code",
            "code": code.expose(),
            "redirect_uri": redirect_uri,
            "code_verifier": verifier.expose(),
            "client_id": self.client_id,
            "client_secret": self.client_secret.expose(),
        });
        self.token(body, &[code.expose(), verifier.expose()]).await
    }

    /// `POST /v1/revoke`: ends a token (RFC 7009 section 2.1). Not documented; as the command line client sends it.
    pub async fn revoke(&self, token: &Secret, kind: TokenKind) -> Result<(), OAuthError> {
        let hint = match kind {
            TokenKind::Access => "access_token",
            TokenKind::Refresh => "refresh_token",
        };
        let body = json!({
            "token": token.expose(),
            "token_type_hint": hint,
            "client_id": self.client_id,
            "client_secret": self.client_secret.expose(),
        });
        let exchange = Exchange {
            method: Method::Post,
            path: "revoke",
            body: Some(body),
            bearer: None,
            secrets: &[token.expose()],
        };
        // RFC 7009 section 2.2: what a success says is of no interest.
        self.exchange(&exchange).await.map(drop)
    }

    /// `GET /v1/userinfo` with an access token. Not documented; as the command line client sends it.
    pub async fn user_info(&self, access: &Secret) -> Result<UserInfo, OAuthError> {
        let exchange = Exchange {
            method: Method::Get,
            path: "userinfo",
            body: None,
            bearer: Some(access),
            secrets: &[access.expose()],
        };
        let WrittenUser { email, username } = self.read(&exchange).await?;
        let [email, username] = [email, username].map(|text| text.filter(|text| is_subject(text)));
        if email.is_none() && username.is_none() {
            return Err(ApiError::Unexpected("a user without address and name").into());
        }
        Ok(UserInfo { email, username })
    }

    async fn token(&self, body: Value, secrets: &[&str]) -> Result<Tokens, OAuthError> {
        let answer: WrittenTokens = self.post("token", body, secrets).await?;
        // RFC 6749 section 7.1: a token of an unknown type is not used. The command line client uses any as bearer.
        if answer.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(ApiError::Unexpected("a token that is no bearer token").into());
        }
        if !is_token(&answer.access_token) {
            return Err(ApiError::Unexpected("an access token that fits no header").into());
        }
        Ok(Tokens {
            access: Secret::new(answer.access_token),
            expires_in: answer.expires_in.map(Duration::from_secs),
            refresh: answer.refresh_token.and_then(opaque),
        })
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &'static str,
        body: Value,
        secrets: &[&str],
    ) -> Result<T, OAuthError> {
        let exchange = Exchange { method: Method::Post, path, body: Some(body), bearer: None, secrets };
        self.read(&exchange).await
    }

    /// Sends one request and reads the answer.
    async fn read<T: DeserializeOwned>(&self, exchange: &Exchange<'_>) -> Result<T, OAuthError> {
        let response = self.exchange(exchange).await?;
        let operation = format!("{} /{}/{}", exchange.method.as_str(), OAUTH.version, exchange.path);
        Ok(read_answer(self.sender.log, &operation, &response)?)
    }

    /// Sends one request; the answer is a success.
    async fn exchange(&self, exchange: &Exchange<'_>) -> Result<Response, OAuthError> {
        let path = Path { version: OAUTH.version, template: exchange.path, arguments: &[], query: &[] };
        let url = self.sender.hosts.url(OAUTH.host, &path).map_err(ApiError::from)?;
        let operation = Operation { service: OAUTH.host.name(), path: exchange.path };
        let request = Request {
            authorization: exchange.bearer.map(|token| format!("Bearer {}", token.expose())),
            body: exchange.body.as_ref().map(bytes),
            ..Request::new(exchange.method, url, operation, TIMEOUT)
        };
        let response = self.sender.fetch(request, RESPONSE_BYTES_MAX).await.map_err(|failed| failed.error)?;
        if (200..=299).contains(&response.status) {
            Ok(response)
        } else {
            let secrets: Vec<_> = exchange.secrets.iter().copied().chain([self.client_secret.expose()]).collect();
            Err(refusal(&response, self.sender.io.now(), &secrets))
        }
    }

    /// Whether a person can be sent there: an `https` address, or the sandbox's own.
    fn is_page(&self, url: &Url) -> bool {
        let is_secure = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
        is_secure || self.sender.hosts.is_in_sandbox(url)
    }
}

/// Interprets a refusal: by the word in `error` if it matters here, else by the status.
fn refusal(response: &Response, now: UnixMillis, secrets: &[&str]) -> OAuthError {
    let error = ApiError::of_refusal(&OAUTH.errors, response, now, secrets);
    match error.answer() {
        Some(Answer { code: Some(word), .. }) if word == "authorization_pending" => OAuthError::Pending,
        Some(Answer { code: Some(word), .. }) if word == "slow_down" => OAuthError::SlowDown,
        Some(Answer { code: Some(word), .. }) if word == "access_denied" => OAuthError::Denied,
        Some(Answer { code: Some(word), .. }) if word == "expired_token" => OAuthError::Expired,
        Some(answer) if !matches!(error, ApiError::RateLimited { .. } | ApiError::Failing { .. }) => {
            OAuthError::Refused(answer.clone())
        }
        _ => error.into(),
    }
}

/// A code or token from TiDB Cloud: visible characters, of legitimate length.
fn opaque(text: String) -> Option<Secret> {
    let fits = (1..=OPAQUE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        port::FetchError,
        tidbcloud::{
            Misread,
            fake::{Fake, no_log, ok, status},
        },
    };

    const CLIENT_SECRET: &str = "canary-client-secret";

    /// What a method makes of these answers.
    async fn ask<T>(
        hosts: &Hosts,
        script: impl IntoIterator<Item = Result<Response, FetchError>>,
        call: impl AsyncFnOnce(&AuthorizationServer<'_>) -> T,
    ) -> (T, Fake) {
        let (fake, secret) = (Fake::new(script), Secret::new(CLIENT_SECRET));
        let deadline = fake.now().after(Duration::from_secs(28));
        let server = AuthorizationServer::new(&fake, no_log(), hosts, "client", &secret, deadline);
        (call(&server).await, fake)
    }

    fn device(change: &str, to: Value) -> Result<Response, FetchError> {
        let mut answer = json!({
            "device_code": "canary-device-code", "user_code": "WDJB-MJHT", "expires_in": 1800, "interval": 5,
            "verification_uri": "https://oauth.tidbcloud.com/activate",
            "verification_uri_complete": "https://oauth.tidbcloud.com/activate?user_code=WDJB-MJHT",
        });
        answer[change] = to;
        ok(answer)
    }

    fn tokens() -> Result<Response, FetchError> {
        ok(json!({ "access_token": "canary-access", "token_type": "Bearer", "expires_in": 3600,
            "refresh_token": "canary-refresh" }))
    }

    #[tokio::test]
    async fn a_device_is_authorized_as_the_command_line_client_does_it() {
        let begin = async |server: &AuthorizationServer<'_>| server.device_authorization().await;
        let (begun, fake) = ask(&Hosts::real(), [device("unknown", json!(1))], begin).await;
        assert_eq!(fake.last_body(), json!({ "client_id": "client" }));
        assert_eq!(fake.sent.borrow()[0].url.as_str(), "https://oauth.tidbcloud.com/v1/device_authorization");
        let begun = begun.ok().unwrap();
        assert_eq!(begun.user_code, "WDJB-MJHT");
        assert_eq!(begun.verification_uri_complete.unwrap().query(), Some("user_code=WDJB-MJHT"));
        assert_eq!((begun.expires_in, begun.interval), (Duration::from_secs(1_800), INTERVAL));

        let poll = async |server: &AuthorizationServer<'_>| {
            server.token_by_device_code(&begun.device_code).await.ok().unwrap()
        };
        let (tokens, fake) = ask(&Hosts::real(), [tokens()], poll).await;
        assert_eq!(
            fake.last_body(),
            json!({ "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "canary-device-code",
                "client_id": "client" })
        );
        assert_eq!(tokens.access.expose(), "canary-access");
        assert_eq!(tokens.refresh.unwrap().expose(), "canary-refresh");
        assert_eq!(tokens.expires_in, Some(Duration::from_secs(3_600)));
        assert_eq!(fake.lines(), ["POST /v1/token body"]);
    }

    #[tokio::test]
    async fn the_other_calls_send_what_their_rfcs_say() {
        let (secret, hosts) = (Secret::new("canary-given"), Hosts::sandbox("http://127.0.0.1:8788").unwrap());
        let (_, fake) = ask(&hosts, [tokens()], async |server| server.token_by_refresh_token(&secret).await).await;
        assert_eq!(
            fake.last_body(),
            json!({ "grant_type": "refresh_token", "refresh_token": "canary-given", "client_id": "client",
                "client_secret": CLIENT_SECRET })
        );
        let verifier = Secret::new("canary-verifier");
        let by_code = async |server: &AuthorizationServer<'_>| {
            server.token_by_authorization_code(&secret, "https://mcp.example/back", &verifier).await
        };
        let (_, fake) = ask(&hosts, [tokens()], by_code).await;
        assert_eq!(
            fake.last_body(),
            json!({ "grant_type": "authorization_code", "code": "canary-given", "code_verifier": "canary-verifier",
                "redirect_uri": "https://mcp.example/back", "client_id": "client", "client_secret": CLIENT_SECRET })
        );
        // RFC 7009 section 2.2: the body of a success says nothing.
        let empty = Ok(Response::json(200, ""));
        let (ended, fake) = ask(&hosts, [empty], async |server| server.revoke(&secret, TokenKind::Refresh).await).await;
        assert_eq!(ended, Ok(()));
        assert_eq!(
            fake.last_body(),
            json!({ "token": "canary-given", "token_type_hint": "refresh_token", "client_id": "client",
                "client_secret": CLIENT_SECRET })
        );
        let user = ok(json!({ "email": "person@example.com", "username": "" }));
        let (user, fake) = ask(&hosts, [user], async |server| server.user_info(&secret).await).await;
        assert_eq!(user.unwrap().subject(), "person@example.com");
        assert_eq!(fake.sent.borrow()[0].headers.get("authorization").as_deref(), Some("Bearer canary-given"));
        assert_eq!(fake.lines(), ["GET /oauth.tidbcloud.com/v1/userinfo bearer"]);
    }

    #[tokio::test]
    async fn refusals_say_what_to_do_and_never_what_was_secret() {
        let refused = |status_code, body: Value| {
            let script = [status(status_code, body)];
            async {
                let code = Secret::new("canary-device-code");
                let (tokens, fake) =
                    ask(&Hosts::real(), script, async |server| server.token_by_device_code(&code).await).await;
                assert_eq!(fake.lines().len(), 1, "it is sent once");
                tokens.err().unwrap()
            }
        };
        for (word, expected) in [
            ("authorization_pending", OAuthError::Pending),
            ("slow_down", OAuthError::SlowDown),
            ("access_denied", OAuthError::Denied),
            ("expired_token", OAuthError::Expired),
        ] {
            assert_eq!(refused(400, json!({ "error": word })).await, expected);
        }
        assert_eq!(refused(429, json!({ "error": "slow_down" })).await, OAuthError::SlowDown);
        let gone = json!({ "error": "invalid_grant", "message": "canary-device-code of canary-client-secret is gone" });
        let error = refused(400, gone).await;
        assert!(matches!(&error, OAuthError::Refused(answer) if answer.code.as_deref() == Some("invalid_grant")));
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        assert!(matches!(refused(401, json!({})).await, OAuthError::Refused(Answer { status: 401, .. })));
        assert!(matches!(refused(429, json!({})).await, OAuthError::Api(ApiError::RateLimited { .. })));
        assert!(matches!(refused(502, json!({})).await, OAuthError::Api(ApiError::Failing { .. })));
        assert!(matches!(refused(302, json!({})).await, OAuthError::Api(ApiError::Unexpected(_))));
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_used_is_an_error() {
        let begin = async |hosts: &Hosts, answer| {
            let begun = ask(hosts, [answer], async |server| server.device_authorization().await).await.0;
            begun.err()
        };
        let sandbox = Hosts::sandbox("http://127.0.0.1:8788").unwrap();
        let page = || device("verification_uri", json!("http://127.0.0.1:8788/activate"));
        assert_eq!(begin(&sandbox, page()).await, None);
        for unusable in [
            page(),
            device("verification_uri", json!("javascript:alert(1)")),
            device("verification_uri", json!("https://oauth.tidbcloud.com@evil.example/")),
            device("user_code", json!("")),
            device("user_code", json!("\u{202e}code")),
            device("device_code", json!("a b")),
            device("expires_in", json!(null)),
        ] {
            let error = begin(&Hosts::real(), unusable).await;
            assert!(matches!(error, Some(OAuthError::Api(ApiError::Unexpected(_)))), "{error:?}");
        }
        let elsewhere = device("verification_uri", json!("http://127.0.0.1:87889/activate"));
        assert!(begin(&sandbox, elsewhere).await.is_some());
        let endless = device("expires_in", json!(u64::MAX));
        let begun = ask(&Hosts::real(), [endless], async |server| server.device_authorization().await).await.0;
        assert_eq!(begun.ok().unwrap().expires_in, DEVICE_LIFE_MAX);

        let code = Secret::new("canary-device-code");
        for (answer, expected) in [
            (ok(json!({ "access_token": "a b" })), ApiError::Unexpected("an access token that fits no header")),
            (
                ok(json!({ "access_token": "a", "token_type": "mac" })),
                ApiError::Unexpected("a token that is no bearer token"),
            ),
            (ok(json!({})), ApiError::Unreadable { status: 200, cause: Misread::new("another shape at ``") }),
            (Err(FetchError::Timeout), ApiError::Timeout),
            (Err(FetchError::TooLarge), ApiError::TooLarge),
        ] {
            let tokens = ask(&Hosts::real(), [answer], async |server| server.token_by_device_code(&code).await).await.0;
            assert_eq!(tokens.err(), Some(expected.into()));
        }
        let (fake, secret) = (Fake::new([]), Secret::new(CLIENT_SECRET));
        let late = AuthorizationServer::new(&fake, no_log(), &sandbox, "client", &secret, fake.now());
        assert_eq!(late.device_authorization().await.err(), Some(ApiError::DeadlineExceeded.into()));
        let nobody = ok(json!({ "email": "a\nb", "username": "x".repeat(257) }));
        let user = ask(&Hosts::real(), [nobody], async |server| server.user_info(&code).await).await.0;
        assert!(matches!(user, Err(OAuthError::Api(ApiError::Unexpected(_)))));
    }
}
