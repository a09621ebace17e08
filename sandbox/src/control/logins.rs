//! TiDB Cloud's own authorization server. Published are its grant types alone; the calls are those of TiDB Cloud's command line
//! client. Guesses, marked as such in the answers' header `X-Sandbox-Guess`: refreshing, the authorization code flow with its
//! page, where a person always says yes, and who a person stands for.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Sandbox,
    address::percent_decode,
    answers::{Failure, json_response},
    digest::hex,
    services::AUTHORIZATION,
    state::{KEYS, Key},
};
use crate::exchange::{Request, Response};

/// The one client that is registered.
pub const OAUTH_CLIENT_ID: &str = "sandbox-client";
/// Its secret.
pub const OAUTH_CLIENT_SECRET: &str = "sandbox-client-secret-0123456789";
/// How long an access token lives.
const ACCESS_MILLIS: u64 = 3_600_000;
/// How long a person has to agree.
const DEVICE_MILLIS: u64 = 900_000;
/// How long to wait between polls.
const INTERVAL_SECONDS: u64 = 5;

/// A person who is asked.
struct Device {
    user_code: String,
    ends: u64,
    polled: Option<u64>,
    /// `None` until the person has answered.
    answer: Option<Option<&'static Key>>,
}

/// A token, and the key whose rights it has.
struct Token {
    key: &'static Key,
    ends: u64,
}

/// Codes and tokens.
#[derive(Default)]
pub(super) struct Logins {
    devices: BTreeMap<String, Device>,
    access: BTreeMap<String, Token>,
    refresh: BTreeMap<String, &'static Key>,
    /// Code to redirect URI and challenge.
    codes: BTreeMap<String, (String, String)>,
}

impl Logins {
    /// Whose token it is.
    pub(super) fn holder(&self, authorization: &str, now: u64) -> Option<&'static Key> {
        let token = authorization.strip_prefix("Bearer ")?;
        self.access.get(token).filter(|token| token.ends > now).map(|token| token.key)
    }

    /// A person answers: `POST /_sandbox/device`.
    pub(super) fn answer(&mut self, body: &[u8]) -> Result<(), &'static str> {
        let body: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON")?;
        let code = body.get("userCode").and_then(Value::as_str).unwrap_or_default();
        let who = body.get("key").and_then(Value::as_str).unwrap_or("owner");
        let key = match who {
            "owner" => KEYS.first(),
            "viewer" => KEYS.get(1),
            "other" => KEYS.get(2),
            _ => None,
        };
        let approved = body.get("approve").and_then(Value::as_bool).unwrap_or(true);
        let device = self.devices.values_mut().find(|device| device.user_code == code);
        device.ok_or("nobody was asked with this code")?.answer =
            Some(if approved { Some(key.ok_or("key is owner, viewer or other")?) } else { None });
        Ok(())
    }
}

fn refused(status: u16, error: &str) -> Response {
    AUTHORIZATION.errors.response(&Failure::new(status, error), "")
}

impl Sandbox {
    /// A request to the authorization server.
    pub(super) fn login(&mut self, now: u64, target: &str, request: &Request) -> Response {
        let body: Map<String, Value> = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        if request.method == "POST" && text("client_id") != OAUTH_CLIENT_ID {
            return refused(401, "invalid_client");
        }
        let has_secret = text("client_secret") == OAUTH_CLIENT_SECRET;
        match (request.method.as_str(), target) {
            ("POST", "/v1/device_authorization") => {
                let device_code = hex(&self.world.draw("device code"));
                let user_code = self.world.draw_text("user code", b"BCDFGHJKLMNPQRSTVWXZ", 8);
                let (uri, ends) = (format!("https://{}/activate", AUTHORIZATION.host), now + DEVICE_MILLIS);
                let answer = json!({
                    "device_code": device_code, "user_code": user_code, "verification_uri": uri,
                    "verification_uri_complete": format!("{uri}?user_code={user_code}"),
                    "expires_in": DEVICE_MILLIS / 1_000, "interval": INTERVAL_SECONDS,
                });
                self.logins.devices.insert(device_code, Device { user_code, ends, polled: None, answer: None });
                json_response(200, &answer)
            }
            ("POST", "/v1/token") => match text("grant_type") {
                "urn:ietf:params:oauth:grant-type:device_code" => self.by_device_code(now, text("device_code")),
                "refresh_token" if has_secret => {
                    let Some(key) = self.logins.refresh.remove(text("refresh_token")) else {
                        return refused(400, "invalid_grant");
                    };
                    let mut response = self.tokens(now, key);
                    response.headers.push(("X-Sandbox-Guess".to_owned(), "refresh".to_owned()));
                    response
                }
                "authorization_code" if has_secret => {
                    self.by_code(now, text("code"), text("redirect_uri"), text("code_verifier"))
                }
                "refresh_token" | "authorization_code" => refused(401, "invalid_client"),
                _ => refused(400, "unsupported_grant_type"),
            },
            ("POST", "/v1/revoke") if has_secret => {
                self.logins.access.remove(text("token"));
                self.logins.refresh.remove(text("token"));
                json_response(200, &json!({}))
            }
            ("POST", "/v1/revoke") => refused(401, "invalid_client"),
            ("GET", "/v1/userinfo") => {
                match self.logins.holder(request.header("authorization").unwrap_or_default(), now) {
                    Some(key) => {
                        let name = key.display_name;
                        json_response(
                            200,
                            &json!({ "email": format!("{}@example.com", key.public.to_lowercase()), "username": name }),
                        )
                    }
                    None => refused(401, "invalid_token"),
                }
            }
            ("GET", _) if target.starts_with("/authorize?") => self.authorize(target),
            _ => refused(404, "not_found"),
        }
    }

    /// The page of the authorization code flow: the owner is there, and says yes.
    fn authorize(&mut self, target: &str) -> Response {
        let parameters: BTreeMap<String, String> = target
            .split_once('?')
            .map(|(_, query)| query)
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                Some((name.to_owned(), percent_decode(&value.replace('+', " "))?))
            })
            .collect();
        let get = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
        if get("client_id") != OAUTH_CLIENT_ID || get("code_challenge_method") != "S256" {
            return refused(400, "invalid_request");
        }
        let code = hex(&self.world.draw("authorization code"));
        let (redirect, challenge) = (get("redirect_uri").to_owned(), get("code_challenge").to_owned());
        let location = format!("{redirect}?code={code}&state={}", get("state"));
        self.logins.codes.insert(code, (redirect, challenge));
        let mut response = json_response(302, &json!({}));
        response.headers.push(("Location".to_owned(), location));
        response.headers.push(("X-Sandbox-Guess".to_owned(), "authorization code flow".to_owned()));
        response
    }

    fn by_code(&mut self, now: u64, code: &str, redirect: &str, verifier: &str) -> Response {
        let expected = self.logins.codes.remove(code);
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        match (expected, KEYS.first()) {
            (Some((to, asked)), Some(key)) if to == redirect && asked == challenge => self.tokens(now, key),
            _ => refused(400, "invalid_grant"),
        }
    }

    fn by_device_code(&mut self, now: u64, code: &str) -> Response {
        let Some(device) = self.logins.devices.get_mut(code) else { return refused(400, "invalid_grant") };
        let before = device.polled.replace(now);
        match device.answer {
            _ if device.ends <= now => refused(400, "expired_token"),
            _ if before.is_some_and(|before| now < before + INTERVAL_SECONDS * 1_000) => refused(400, "slow_down"),
            None => refused(400, "authorization_pending"),
            Some(None) => refused(400, "access_denied"),
            Some(Some(key)) => {
                self.logins.devices.remove(code);
                self.tokens(now, key)
            }
        }
    }

    fn tokens(&mut self, now: u64, key: &'static Key) -> Response {
        let access = hex(&self.world.draw("access token"));
        let refresh = hex(&self.world.draw("refresh token"));
        self.logins.access.insert(access.clone(), Token { key, ends: now + ACCESS_MILLIS });
        self.logins.refresh.insert(refresh.clone(), key);
        json_response(
            200,
            &json!({
                "access_token": access, "token_type": "Bearer", "expires_in": ACCESS_MILLIS / 1_000, "refresh_token": refresh,
            }),
        )
    }
}
