//! The table of all settings: name, meaning, and how each is read.

use url::Url;

use super::{AlertFormat, Alerts, Allowed, Origin, draft::Draft, list};
use crate::{
    base::{address::Cidr, secret::Secret},
    port::Policy,
    tidbcloud::{Hosts, alias::Aliases},
};

/// One row of the table.
pub struct Setting {
    /// Name of the variable or secret.
    pub name: &'static str,
    /// Whether it is set as a secret.
    pub secret: bool,
    /// Its default.
    pub unset: Unset,
    /// What it does.
    pub meaning: &'static str,
    /// Reads a value, or returns the rule that it breaks. A rule never repeats the value.
    pub(super) read: fn(&mut Draft, &str) -> Result<(), Rule>,
}

/// The default of a setting.
#[derive(Clone, Copy, Debug)]
pub enum Unset {
    /// This value. A blank one counts as unset.
    Value(&'static str),
    /// This list. A blank one is a list of nothing.
    List(&'static str),
    /// The default in words. A blank value counts as unset.
    Words(&'static str),
}

impl Unset {
    /// As the documentation says it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Value(text) | Self::List(text) | Self::Words(text) => text,
        }
    }
}

impl Setting {
    /// The value to read: the one that is set, or the default.
    pub(super) fn value(&self, set: Option<String>) -> Option<String> {
        let set = set.map(|text| text.trim().to_owned());
        match self.unset {
            Unset::List(list) => set.or_else(|| Some(list.to_owned())),
            Unset::Value(value) => set.filter(|text| !text.is_empty()).or_else(|| Some(value.to_owned())),
            Unset::Words(_) => set.filter(|text| !text.is_empty()),
        }
    }
}

/// The rule for a value.
type Rule = &'static str;

/// The shortest access key and server secret: 32 characters of hexadecimal are 128 bits.
const SECRET_CHARACTERS_MIN: usize = 32;

/// A credential can use a quarter of its minute at once.
const CREDENTIAL_BURST_DIVISOR: u32 = 4;

/// Calls that change something: 20 of 120 a minute, one every three seconds, and as many at once.
const WRITES_DIVISOR: u32 = 6;

/// Upper bound of a limit: a permit a minute costs 60,000,000 µs; a million a minute still leaves 60 µs each.
const RATE_LIMIT_MAX: u32 = 1_000_000;

/// Clients that run in a browser and send their own origin. The origin grants no access: the credential does.
const DEFAULT_ORIGINS: &str = "https://chatgpt.com, https://claude.ai, https://claude.com, https://vscode.dev";

const CIDRS: Rule = "must be CIDRs such as 192.0.2.0/24, separated by commas";

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "RATE_LIMIT_PER_MINUTE",
        secret: false,
        unset: Unset::Value("100"),
        meaning: "Requests a minute per client IP (IPv6: per /64), from 1 to 1000000; as many can come at once.",
        read: |draft, text| {
            put(&mut draft.config.rate_limit, limit(text).map(|permits| Policy::per_minute(permits, permits)))
        },
    },
    Setting {
        name: "CREDENTIAL_LIMIT_PER_MINUTE",
        secret: false,
        unset: Unset::Value("120"),
        meaning: "Requests a minute per credential, from any address, from 1 to 1000000; a quarter of them can come at once. A sixth of them can be calls that change something.",
        read: |draft, text| {
            let permits = limit(text)?;
            let writes = (permits / WRITES_DIVISOR).max(1);
            draft.config.credential_limit = Policy::per_minute(permits, permits.div_ceil(CREDENTIAL_BURST_DIVISOR));
            draft.config.write_limit = Policy::per_minute(writes, writes);
            Ok(())
        },
    },
    Setting {
        name: "SHARED_EGRESS_IPS",
        secret: false,
        unset: Unset::List("160.79.104.0/21"),
        meaning: "Comma-separated CIDRs that many strangers share (the default is Anthropic's published outbound range): ten times the limit per IP. Empty for none.",
        read: |draft, text| put(&mut draft.config.shared_egress, list(text, Cidr::parse).ok_or(CIDRS)),
    },
    Setting {
        name: "PUBLIC_ORIGIN",
        secret: false,
        unset: Unset::Words("the request's origin"),
        meaning: "If set, the only host that is served and the OAuth issuer, for example `https://mcp.example.com`.",
        read: |draft, text| put(&mut draft.config.public_origin, public_origin(text).map(Some)),
    },
    Setting {
        name: "ALLOWED_ORIGINS",
        secret: false,
        unset: Unset::List(DEFAULT_ORIGINS),
        meaning: "Comma-separated browser origins that may call, besides the server's own and loopback ones (the default are clients that run in a browser). Empty for none.",
        read: |draft, text| {
            let origins = list(text, Origin::parse);
            let rule = "must be origins such as https://app.example.com, separated by commas";
            put(&mut draft.config.allowed_origins, origins.ok_or(rule))
        },
    },
    Setting {
        name: "ALLOWED_IPS",
        secret: false,
        unset: Unset::Words("all"),
        meaning: "Comma-separated CIDRs that may call `/mcp`, with any credential. The consent page opens in a person's browser and is not covered.",
        read: |draft, text| {
            let ranges = list(text, Cidr::parse).filter(|ranges| !ranges.is_empty());
            put(&mut draft.config.allowed_ips, ranges.map(Some).ok_or(CIDRS))
        },
    },
    Setting {
        name: "ALLOWED_CREDENTIALS",
        secret: false,
        unset: Unset::Words("`oauth,keys`; with an access key `oauth,access-key`"),
        meaning: "Which kinds of credential are taken, of `oauth`, `keys` and `access-key`. Without `oauth` its routes do not exist.",
        read: |draft, text| put(&mut draft.allowed, Allowed::parse(text).map(Some).ok_or(Allowed::RULE)),
    },
    Setting {
        name: "CLUSTER_ALIASES",
        secret: false,
        unset: Unset::Words("`{}`"),
        meaning: "Short names for clusters: a JSON object of alias to cluster id, for example `{\"prod\": \"1379661944646413143\"}`.",
        read: |draft, text| put(&mut draft.config.aliases, Aliases::parse_json(text)),
    },
    Setting {
        name: "SQL_TAGS",
        secret: false,
        unset: Unset::Value("on"),
        meaning: "Whether every SQL statement begins with a comment that names the tool and the request, by which the owner of a database finds it: `on` or `off`.",
        read: |draft, text| put(&mut draft.config.sql_tags, on_or_off(text)),
    },
    Setting {
        name: "QUERY_ROWS_GUARD",
        secret: false,
        unset: Unset::Value("1000000"),
        meaning: "Rows that a statement may read, by TiDB's own estimate, before a person has to allow it; products of tables and recursive queries always need that. 0 switches this off: no statement is planned before it runs.",
        read: |draft, text| {
            put(&mut draft.config.rows_guard, text.parse().map_err(|_| "must be a whole number, 0 or more"))
        },
    },
    Setting {
        name: "LOG_PERCENT",
        secret: false,
        unset: Unset::Value("100"),
        meaning: "Of a hundred requests in which nothing went wrong and nothing was changed, how many are logged, from 0 to 100. Every other request is logged whole.",
        read: |draft, text| {
            let percent = text.parse().ok().filter(|percent| (0..=100).contains(percent));
            put(&mut draft.config.log_percent, percent.ok_or("must be a whole number from 0 to 100"))
        },
    },
    Setting {
        name: "TIDB_CLOUD_SANDBOX",
        secret: false,
        unset: Unset::Words("unset"),
        meaning: "Address of a sandbox, for example `http://127.0.0.1:8788`; only loopback hosts are served then.",
        read: |draft, text| {
            draft.has_sandbox = true;
            put(&mut draft.config.hosts, sandbox(text))
        },
    },
    Setting {
        name: "TIDB_CLOUD_PUBLIC_KEY",
        secret: true,
        unset: Unset::Words("unset"),
        meaning: "With the next two: the owner's own deployment. All three or none.",
        read: |draft, text| put(&mut draft.public_key, Ok(Some(text.to_owned()))),
    },
    Setting {
        name: "TIDB_CLOUD_PRIVATE_KEY",
        secret: true,
        unset: Unset::Words("unset"),
        meaning: "See above.",
        read: |draft, text| put(&mut draft.private_key, Ok(Some(text.to_owned()))),
    },
    Setting {
        name: "MCP_ACCESS_KEY",
        secret: true,
        unset: Unset::Words("unset"),
        meaning: "The access key that the owner's clients send as `Authorization: Bearer`; at least 32 characters.",
        read: |draft, text| {
            draft.access_key = Some(text.to_owned());
            long_enough(text).map(drop)
        },
    },
    Setting {
        name: "MCP_SECRET",
        secret: true,
        unset: Unset::Words("made once and kept by a Durable Object"),
        meaning: "SQL passwords are derived from it and grants are sealed with it; at least 32 characters.",
        read: |draft, text| put(&mut draft.config.secret, long_enough(text).map(Some)),
    },
    Setting {
        name: "MCP_SECRET_PREVIOUS",
        secret: true,
        unset: Unset::Words("unset"),
        meaning: "The previous `MCP_SECRET`: it opens grants and client ids that it sealed, and never seals.",
        read: |draft, text| put(&mut draft.config.previous_secret, long_enough(text).map(Some)),
    },
    Setting {
        name: "TIDB_CLOUD_OAUTH_CLIENT_ID",
        secret: false,
        unset: Unset::Words("unset"),
        meaning: "TiDB Cloud's own OAuth, for a deployment that is a registered client: people then sign in there instead of giving keys.",
        read: |draft, text| put(&mut draft.oauth_id, Ok(Some(text.to_owned()))),
    },
    Setting {
        name: "TIDB_CLOUD_OAUTH_CLIENT_SECRET",
        secret: true,
        unset: Unset::Words("unset"),
        meaning: "Belongs to the one above: both or neither.",
        read: |draft, text| put(&mut draft.oauth_secret, Ok(Some(text.to_owned()))),
    },
    Setting {
        name: "TIDB_CLOUD_OAUTH_AUTHORIZE_URL",
        secret: false,
        unset: Unset::Words("unset"),
        meaning: "The page of TiDB Cloud's authorization code flow, which is not published: if set, people are sent there; otherwise they type a code (device flow).",
        read: |draft, text| put(&mut draft.oauth_authorize_url, authorize_url(text).map(Some)),
    },
    Setting {
        name: Alerts::WEBHOOK,
        secret: true,
        unset: Unset::Words("no alerts"),
        meaning: "Address that alerts are posted to: https, without a login or a fragment, and no redirect is followed. While it is set, requests are counted and a look is taken every five minutes. Loopback hosts, by http or https, only while `TIDB_CLOUD_SANDBOX` is set.",
        read: |draft, text| put(&mut draft.webhook, Url::parse(text).map(Some).map_err(|_| Alerts::RULE)),
    },
    Setting {
        name: Alerts::FORMAT,
        secret: false,
        unset: Unset::Value("slack"),
        meaning: "How alerts are written: `slack`, a text that Slack and what is compatible with it show, or `json`, for programs.",
        read: |draft, text| put(&mut draft.alert_format, AlertFormat::parse(text).ok_or("must be slack or json")),
    },
    Setting {
        name: Alerts::PERCENT,
        secret: false,
        unset: Unset::Value("5"),
        meaning: "The percentage of failed requests that is an alert, of at least 20 requests to this server or to TiDB Cloud: a whole number from 1 to 100.",
        read: |draft, text| put(&mut draft.alert_percent, percent(text)),
    },
];

/// Fills a field with what was read.
fn put<T>(field: &mut T, read: Result<T, Rule>) -> Result<(), Rule> {
    *field = read?;
    Ok(())
}

fn limit(text: &str) -> Result<u32, Rule> {
    let number = text.parse().ok().filter(|number| (1..=RATE_LIMIT_MAX).contains(number));
    number.ok_or("must be a whole number from 1 to 1000000")
}

fn percent(text: &str) -> Result<u8, Rule> {
    let number = text.parse().ok().filter(|number| (1..=100).contains(number));
    number.ok_or("must be a whole number from 1 to 100")
}

fn on_or_off(text: &str) -> Result<bool, Rule> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off"),
    }
}

fn public_origin(text: &str) -> Result<Origin, Rule> {
    let origin = Origin::parse(text).filter(|origin| origin.as_str().starts_with("https:") || origin.is_loopback());
    origin.ok_or("must be an origin such as https://mcp.example.com, without a path")
}

fn sandbox(text: &str) -> Result<Hosts, Rule> {
    let loopback = Origin::parse(text).filter(Origin::is_loopback);
    let hosts = loopback.and_then(|origin| Hosts::sandbox(origin.as_str()).ok());
    hosts.ok_or("must be a loopback address such as http://127.0.0.1:8788")
}

fn authorize_url(text: &str) -> Result<Url, Rule> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.fragment().is_none());
    url.ok_or("must be an https address without a fragment")
}

fn long_enough(text: &str) -> Result<Secret, Rule> {
    if text.len() >= SECRET_CHARACTERS_MIN && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret::new(text))
    } else {
        Err("must be at least 32 visible ASCII characters")
    }
}
