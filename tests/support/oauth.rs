//! A client and a person, step by step: what both send when somebody connects.

use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{Answer, Call, Driver, bad_inputs::tool, keys};

/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Names and values of a form or a query.
pub type Fields = Vec<(String, String)>;

pub fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The same fields with one of them set, in place of others of its name.
pub fn with(mut all: Fields, name: &str, value: &str) -> Fields {
    all.retain(|(field, _)| field != name);
    all.push((name.to_owned(), value.to_owned()));
    all
}

/// The same fields without one of them.
pub fn without(mut all: Fields, name: &str) -> Fields {
    all.retain(|(field, _)| field != name);
    all
}

pub fn encode(all: &Fields) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish()
}

pub fn get(target: &str) -> Call {
    Call { method: "GET".to_owned(), target: target.to_owned(), ..Call::default() }
}

/// A form as a program posts it.
pub fn form(target: &str, all: &Fields) -> Call {
    let headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    Call { method: "POST".to_owned(), target: target.to_owned(), headers, body: encode(all).into_bytes() }
}

/// A form as a browser posts it from one of the server's own pages.
pub fn browser_form(origin: &str, target: &str, cookie: &str, all: &Fields) -> Call {
    let mut call = form(target, all);
    call.headers.push(("Origin".to_owned(), origin.to_owned()));
    call.headers.push(("Sec-Fetch-Site".to_owned(), "same-origin".to_owned()));
    if !cookie.is_empty() {
        call.headers.push(("Cookie".to_owned(), cookie.to_owned()));
    }
    call
}

pub fn registration(body: &Value) -> Call {
    Call {
        method: "POST".to_owned(),
        target: "/register".to_owned(),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

/// A page's form, as a browser has it before anything is typed.
pub struct Page {
    pub hidden: Fields,
    /// `name=value` of the cookie that came with it.
    pub cookie: String,
    pub html: String,
}

impl Page {
    pub fn of(answer: &Answer) -> Self {
        let html = String::from_utf8(answer.body.clone()).expect("HTML is text");
        let cookie = answer.header("Set-Cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default();
        let hidden = elements(&html, "input")
            .into_iter()
            .filter(|input| attribute(input, "type").as_deref() == Some("hidden"))
            .filter_map(|input| Some((attribute(&input, "name")?, attribute(&input, "value")?)))
            .collect();
        Self { hidden, cookie: cookie.to_owned(), html }
    }

    pub fn value(&self, name: &str) -> &str {
        let found = self.hidden.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("the page has no {name}: {}", self.html))
    }
}

/// The start tags of elements of this name.
pub fn elements(html: &str, name: &str) -> Vec<String> {
    html.split(&format!("<{name} ")).skip(1).filter_map(|rest| Some(rest.split_once('>')?.0.to_owned())).collect()
}

/// An attribute's value, unescaped.
pub fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split_once(&format!("{name}=\""))?.1;
    Some(unescape(rest.split_once('"')?.0))
}

pub fn unescape(text: &str) -> String {
    let named = text.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">");
    named.replace("&amp;", "&")
}

/// Where a page leads back to the client.
pub fn link(answer: &Answer) -> Url {
    let html = String::from_utf8_lossy(&answer.body);
    let link = elements(&html, "a").into_iter().find(|tag| attribute(tag, "id").as_deref() == Some("continue"));
    let href = link.and_then(|tag| attribute(&tag, "href")).unwrap_or_else(|| panic!("no link: {html}"));
    Url::parse(&href).expect("a link")
}

/// A parameter of an address.
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
}

/// One client and one person, before a server.
pub struct Flow {
    pub origin: String,
    pub client_id: String,
    pub redirect_uri: String,
}

pub const REDIRECT: &str = "http://127.0.0.1:3000/callback";

impl Flow {
    /// Registers a client.
    pub fn new(server: &mut impl Driver) -> Self {
        Self::registering(server, &[REDIRECT])
    }

    pub fn registering(server: &mut impl Driver, redirects: &[&str]) -> Self {
        let answer = server.send(registration(&json!({
            "client_name": "Test client", "redirect_uris": redirects, "token_endpoint_auth_method": "none",
        })));
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let client_id = answer.json()["client_id"].as_str().expect("a client id").to_owned();
        Self { origin: server.origin(), client_id, redirect_uri: redirects[0].to_owned() }
    }

    /// What the client asks for.
    pub fn request(&self) -> Fields {
        fields(&[
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("state", "the client's state"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("scope", "tidb:read"),
            ("resource", &format!("{}/mcp", self.origin)),
        ])
    }

    /// The person opens the page.
    pub fn open(&self, server: &mut impl Driver, request: &Fields) -> Answer {
        server.send(get(&format!("/authorize?{}", encode(request))))
    }

    pub fn page(&self, server: &mut impl Driver) -> Page {
        let answer = self.open(server, &self.request());
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        Page::of(&answer)
    }

    /// What a person types for these keys.
    pub fn typed(who: &str, scope: &str) -> Fields {
        let (public, private) = keys(who);
        fields(&[("publicKey", public), ("privateKey", &private), ("name", who), ("scope", scope)])
    }

    /// The person sends the form.
    pub fn decide(&self, server: &mut impl Driver, page: &Page, typed: Fields) -> Answer {
        let all = page.hidden.iter().cloned().chain(typed).collect();
        server.send(browser_form(&self.origin, "/consent", &page.cookie, &all))
    }

    /// From the page to a code.
    pub fn code(&self, server: &mut impl Driver, typed: Fields) -> String {
        let page = self.page(server);
        let answer = self.decide(server, &page, typed);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        parameter(&link(&answer), "code").unwrap_or_else(|| panic!("no code in {}", link(&answer)))
    }

    /// What redeems a code.
    pub fn redemption(&self, code: &str) -> Fields {
        fields(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
            ("resource", &format!("{}/mcp", self.origin)),
        ])
    }

    pub fn refreshing(&self, refresh_token: &str) -> Fields {
        fields(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", &self.client_id)])
    }

    /// From nothing to tokens, with the owner's keys.
    pub fn tokens(&self, server: &mut impl Driver, scope: &str) -> Tokens {
        let code = self.code(server, Self::typed("owner", scope));
        Tokens::of(&server.send(form("/token", &self.redemption(&code))))
    }
}

/// What the token endpoint gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub scope: String,
    pub expires_in: u64,
}

impl Tokens {
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let body = answer.json();
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name}: {body}")).to_owned();
        assert_eq!(text("token_type"), "Bearer");
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            scope: text("scope"),
            expires_in: body["expires_in"].as_u64().expect("a number"),
        }
    }
}

/// The same text with another last character: a secret that nobody was given, random ones included.
pub fn altered(secret: &str) -> String {
    let (start, last) = secret.split_at(secret.len() - 1);
    format!("{start}{}", if last == "A" { "E" } else { "A" })
}

/// The same call with a token in place of keys.
pub fn with_token(mut call: Call, token: &str) -> Call {
    let of_keys = |name: &str| name.starts_with("x-tidb-api") || name == "x-mcp-unattended";
    call.headers.retain(|(name, _)| !of_keys(&name.to_lowercase()));
    call.headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
    call
}

/// A tool called with a token.
pub fn tool_with_token(token: &str, name: &str, arguments: Value) -> Call {
    with_token(tool(name, arguments), token)
}

pub fn list_clusters(token: &str) -> Call {
    tool_with_token(token, "tidbcloud_list_clusters", json!({}))
}

/// An OAuth error of a JSON answer.
pub fn error(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
}
