//! What is missing, unsafe or contradictory in settings that fit together: the deployment runs, and not as it should. Findings name
//! settings, and never a value.

use super::{Alerts, Config, Origin, SETTINGS};
use crate::{
    base::{address::Cidr, secret::Secret},
    port::Policy,
};

/// Something to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the setting, or of what is set and resembles one.
    pub setting: String,
    /// What kind of finding it is.
    pub level: Level,
    /// What is the matter.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is not set and should be.
    Missing,
    /// Somebody may do or learn what they should not.
    Unsafe,
    /// It says something else than another setting.
    Contradictory,
    /// It is set, resembles a setting, and is none: nothing reads it.
    Misspelt,
}

impl Level {
    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unsafe => "unsafe",
            Self::Contradictory => "contradictory",
            Self::Misspelt => "misspelt",
        }
    }
}

/// 100 a second. TiDB Cloud takes 100 a minute for a key, so whoever sends more than 60 times that uses nothing of it: such a limit
/// stops nobody.
const LIMIT_MAX: u32 = 6_000;

/// A client begins with four requests, one right after the other: `initialize`, `notifications/initialized`, `tools/list` and its
/// first call.
const BURST_MIN: u32 = 4;

/// Ranges with a shorter prefix are no network of anybody's: they have more than 16.8 million addresses of IPv4 (2^24), or as many
/// sites of IPv6, each of which is a /48 at most (RFC 6177).
const PREFIX_MIN: (u8, u8) = (8, 24);

const WEBHOOK: &str = Alerts::WEBHOOK;
const AUTHORIZE_URL: &str = "TIDB_CLOUD_OAUTH_AUTHORIZE_URL";

/// Findings about the settings of a deployment that is served at `origin`, by the names of settings.
pub fn advice(config: &Config, origin: &Origin) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut note = |setting: &str, level, what: &str, fix: &str| {
        let (setting, what, fix) = (setting.to_owned(), what.to_owned(), fix.to_owned());
        found.push(Finding { setting, level, what, fix });
    };
    limits(config, &mut note);
    who_comes_in(config, origin, &mut note);
    secrets(config, &mut note);
    if config.hosts.is_sandbox() {
        note(
            "TIDB_CLOUD_SANDBOX",
            Level::Unsafe,
            "Keys and SQL go to a sandbox in place of TiDB Cloud, and panics are logged with their text.",
            "Remove it, except on the machine of a developer.",
        );
    }
    let is_set = |name: &str| config.names.iter().any(|set| set == name);
    if is_set(AUTHORIZE_URL) && config.tidb_cloud_oauth.is_none() {
        note(
            AUTHORIZE_URL,
            Level::Contradictory,
            "It belongs to a client of TiDB Cloud's own OAuth, and none is set.",
            "Set TIDB_CLOUD_OAUTH_CLIENT_ID and its secret too, or remove it.",
        );
    }
    if config.alerts.is_none() {
        note(
            WEBHOOK,
            Level::Missing,
            "Nobody is told when calls begin to fail.",
            "Set it to the https address of a webhook.",
        );
    }
    found.extend(config.names.iter().filter_map(|name| misspelt(name)));
    found
}

/// Takes the setting, the level, what is the matter and what to do.
type Note<'n> = &'n mut dyn FnMut(&str, Level, &str, &str);

fn limits(config: &Config, note: Note<'_>) {
    let Config { rate_limit: Policy { permits: of_address, .. }, credential_limit, .. } = config;
    for (setting, permits) in
        [("RATE_LIMIT_PER_MINUTE", *of_address), ("CREDENTIAL_LIMIT_PER_MINUTE", credential_limit.permits)]
    {
        if permits > LIMIT_MAX {
            let what = "It is so high that it stops nobody.";
            note(setting, Level::Unsafe, what, "Set 6000 or less, or remove it for the default.");
        }
    }
    if credential_limit.burst < BURST_MIN {
        note(
            "CREDENTIAL_LIMIT_PER_MINUTE",
            Level::Contradictory,
            "A client begins with four requests, and a quarter of the limit, which is less, can come at once.",
            "Set 13 or more, or remove it for the default.",
        );
    }
}

/// What is said of origins, addresses and kinds of credential.
fn who_comes_in(config: &Config, origin: &Origin, note: Note<'_>) {
    if config.public_origin.is_none() && !origin.is_loopback() {
        note(
            "PUBLIC_ORIGIN",
            Level::Missing,
            "The OAuth issuer, and the address that tokens are for, follow the Host header of each request.",
            "Set it to this deployment's own origin, such as https://mcp.example.com.",
        );
    }
    if config.allowed_origins.iter().any(|origin| !origin.as_str().starts_with("https:") && !origin.is_loopback()) {
        let what = "It has an origin of plain http, whose pages anybody on the way can change.";
        note("ALLOWED_ORIGINS", Level::Unsafe, what, "Name it with https, or leave it out.");
    }
    let is_wide = |ranges: &[Cidr]| ranges.iter().any(|range| range.is_wider_than(PREFIX_MIN));
    if is_wide(&config.shared_egress) {
        let what = "It has a range of more addresses than one network has: all of them get ten times the limit.";
        note("SHARED_EGRESS_IPS", Level::Unsafe, what, "Name the ranges that are really shared.");
    }
    if is_wide(config.allowed_ips.as_deref().unwrap_or_default()) {
        let what = "It has a range of more addresses than one network has, and so keeps almost nobody out.";
        note("ALLOWED_IPS", Level::Unsafe, what, "Name narrower ranges, or remove it.");
    }
    if config.owner.is_some() && !config.allowed.access_key {
        note(
            "ALLOWED_CREDENTIALS",
            Level::Contradictory,
            "It leaves out access-key: no client can send MCP_ACCESS_KEY, which then opens the consent page only.",
            "Add access-key, or remove the setting for the default.",
        );
    }
    if config.owner.is_some() && config.allowed.keys {
        note(
            "ALLOWED_CREDENTIALS",
            Level::Unsafe,
            "It has keys beside the access key: anybody with a key of any organization may use this deployment.",
            "Leave out keys, unless others are to use it.",
        );
    }
}

fn secrets(config: &Config, note: Note<'_>) {
    let previous = config.previous_secret.as_ref();
    match (&config.secret, previous) {
        (None, previous) => {
            note(
                "MCP_SECRET",
                Level::Missing,
                "The server secret was generated, and lies in the same storage as the grants that it seals.",
                "Set a secret of 32 random characters or more. Grants and clients that are connected stay connected.",
            );
            if previous.is_some() {
                let what = "It is the secret before MCP_SECRET, which is not set.";
                note("MCP_SECRET_PREVIOUS", Level::Contradictory, what, "Set MCP_SECRET, or remove it.");
            }
        }
        (Some(secret), Some(previous)) if same(secret, previous) => {
            let what = "It is the same as MCP_SECRET, so that nothing was replaced.";
            note("MCP_SECRET_PREVIOUS", Level::Contradictory, what, "Replace MCP_SECRET, or remove it.");
        }
        _ => {}
    }
    let owner = config.owner.as_ref();
    let all = [
        ("TIDB_CLOUD_PRIVATE_KEY", owner.map(|owner| owner.key.private())),
        ("MCP_ACCESS_KEY", owner.map(|owner| &owner.access_key)),
        ("MCP_SECRET", config.secret.as_ref()),
        ("MCP_SECRET_PREVIOUS", previous.filter(|previous| !is_secret(config, previous))),
        ("TIDB_CLOUD_OAUTH_CLIENT_SECRET", config.tidb_cloud_oauth.as_ref().map(|client| &client.secret)),
    ];
    for (at, (setting, secret)) in all.iter().enumerate() {
        let before = all.iter().take(at).find(|(_, other)| secret.zip(*other).is_some_and(|(one, two)| same(one, two)));
        if let Some((other, _)) = before {
            let what = format!("It is the same as {other}: who learns one of them has both.");
            note(setting, Level::Unsafe, &what, "Set another secret.");
        }
    }
}

fn is_secret(config: &Config, text: &Secret) -> bool {
    config.secret.as_ref().is_some_and(|secret| same(secret, text))
}

fn same(one: &Secret, other: &Secret) -> bool {
    one.matches(other.expose())
}

/// Names longer than this resemble no setting: the longest has 30.
const NAME_BYTES_MAX: usize = 40;

/// The finding about a name that is set, if it is no setting and resembles one.
fn misspelt(name: &str) -> Option<Finding> {
    let settings = || SETTINGS.iter().map(|setting| setting.name);
    if name.len() > NAME_BYTES_MAX || settings().any(|setting| setting == name) {
        return None;
    }
    let letters = letters(name);
    let near = |setting: &&str| {
        let meant = self::letters(setting);
        distance(&letters, &meant) <= 1 + usize::from(meant.len() > SHORT)
    };
    let begins =
        |setting: &&str| name.contains('_') && setting.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    let nearest = settings().filter(near).min_by_key(|setting| distance(&letters, &self::letters(setting)));
    let mut begun = settings().filter(begins);
    let setting = nearest.or_else(|| begun.next().filter(|_| begun.next().is_none()))?;
    Some(Finding {
        setting: name.to_owned(),
        level: Level::Misspelt,
        what: "No setting has this name, and nothing reads it.".to_owned(),
        fix: format!("Call it {setting}, or remove it."),
    })
}

/// Of names with so many letters one may be wrong, because others resemble them by chance; of longer ones two may be.
const SHORT: usize = 11;

/// A name without its underscores and its case.
fn letters(name: &str) -> Vec<u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_uppercase()).collect()
}

/// How many letters are left out, added, replaced or swapped with their neighbour (optimal string alignment).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut line = vec![row + 1];
        for (at, meant) in other.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut least = (cell(&last, at) + usize::from(letter != meant)).min(cell(&last, at + 1) + 1);
            least = least.min(cell(&line, at) + 1);
            let swapped = at > 0 && row > 0 && other.get(at - 1) == Some(letter) && one.get(row - 1) == Some(meant);
            if swapped {
                least = least.min(cell(&before_last, at - 1) + 1);
            }
            line.push(least);
        }
        before_last = std::mem::replace(&mut last, line);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Settings<'s> = &'s [(&'s str, &'s str)];

    const OWNER: [(&str, &str); 5] = [
        ("TIDB_CLOUD_PUBLIC_KEY", "CANARY01"),
        ("TIDB_CLOUD_PRIVATE_KEY", "canary-private-key-0123456789abcdef"),
        ("MCP_ACCESS_KEY", "canary-access-key-0123456789abcdef"),
        ("MCP_SECRET", "canary-server-secret-0123456789abcdef"),
        ("PUBLIC_ORIGIN", "https://mcp.example.com"),
    ];

    /// Findings about an owner's deployment that is told of failures, with these settings besides or in place of its own; a blank one
    /// is not set.
    fn advice_with(settings: Settings<'_>) -> Vec<Finding> {
        let mut all: Vec<(&str, &str)> = [OWNER.as_slice(), &[(WEBHOOK, "https://alerts.example/canary")]].concat();
        all.retain(|(name, _)| settings.iter().all(|(other, _)| other != name));
        all.extend(settings.iter().filter(|(_, value)| !value.is_empty()));
        let value = |name: &str| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let config = Config::read(&value).unwrap_or_else(|problems| panic!("{settings:?}: {problems:?}"));
        let names = all.iter().map(|(name, _)| (*name).to_owned()).collect();
        let origin = Origin::parse("https://mcp.example.com").expect("an origin");
        let found = advice(&Config { names, ..config }, &origin);
        let text = format!("{found:?}");
        assert!(!text.contains("canary") && !text.contains("CANARY"), "a finding has a value of a setting: {text}");
        found
    }

    fn found(settings: Settings<'_>) -> Vec<(String, Level)> {
        advice_with(settings).into_iter().map(|finding| (finding.setting, finding.level)).collect()
    }

    #[test]
    fn what_is_as_it_should_be_has_no_findings() {
        assert_eq!(advice_with(&[]), [], "a deployment with all that is advised");
        for (setting, value) in [
            ("ALLOWED_IPS", "192.0.2.0/24, 10.0.0.0/8, 2001:db8::/32"),
            ("ALLOWED_ORIGINS", "https://app.example, http://localhost:3000, http://127.0.0.1"),
            ("CREDENTIAL_LIMIT_PER_MINUTE", "13"),
            ("RATE_LIMIT_PER_MINUTE", "6000"),
            ("ALLOWED_CREDENTIALS", "access-key"),
            ("MCP_SECRET_PREVIOUS", "canary-earlier-secret-0123456789abcdef"),
        ] {
            assert_eq!(advice_with(&[(setting, value)]), [], "{setting} of {value} is fine");
        }
    }

    #[test]
    fn each_finding_names_its_setting() {
        use Level::{Contradictory, Missing, Unsafe};
        let access = "canary-access-key-0123456789abcdef";
        let server = "canary-server-secret-0123456789abcdef";
        let cases: &[(Settings<'_>, &str, Level)] = &[
            (&[("PUBLIC_ORIGIN", "")], "PUBLIC_ORIGIN", Missing),
            (&[("MCP_SECRET", "")], "MCP_SECRET", Missing),
            (&[(WEBHOOK, "")], WEBHOOK, Missing),
            (&[("MCP_SECRET_PREVIOUS", server)], "MCP_SECRET_PREVIOUS", Contradictory),
            (&[("ALLOWED_CREDENTIALS", "oauth")], "ALLOWED_CREDENTIALS", Contradictory),
            (&[("ALLOWED_CREDENTIALS", "access-key,keys")], "ALLOWED_CREDENTIALS", Unsafe),
            (&[("ALLOWED_ORIGINS", "https://app.example, http://app.example")], "ALLOWED_ORIGINS", Unsafe),
            (&[("RATE_LIMIT_PER_MINUTE", "6001")], "RATE_LIMIT_PER_MINUTE", Unsafe),
            (&[("CREDENTIAL_LIMIT_PER_MINUTE", "1000000")], "CREDENTIAL_LIMIT_PER_MINUTE", Unsafe),
            (&[("CREDENTIAL_LIMIT_PER_MINUTE", "12")], "CREDENTIAL_LIMIT_PER_MINUTE", Contradictory),
            (&[("SHARED_EGRESS_IPS", "0.0.0.0/0")], "SHARED_EGRESS_IPS", Unsafe),
            (&[("ALLOWED_IPS", "192.0.2.1, 64.0.0.0/7")], "ALLOWED_IPS", Unsafe),
            (&[("ALLOWED_IPS", "2000::/23")], "ALLOWED_IPS", Unsafe),
            (&[("MCP_SECRET", access)], "MCP_SECRET", Unsafe),
            (&[("MCP_SECRET_PREVIOUS", access)], "MCP_SECRET_PREVIOUS", Unsafe),
            (&[("TIDB_CLOUD_PRIVATE_KEY", access)], "MCP_ACCESS_KEY", Unsafe),
            (&[(AUTHORIZE_URL, "https://tidbcloud.example/canary")], AUTHORIZE_URL, Contradictory),
        ];
        for (settings, setting, level) in cases {
            assert_eq!(found(settings), [((*setting).to_owned(), *level)], "{settings:?}");
        }
        let without_secret = [("MCP_SECRET", ""), ("MCP_SECRET_PREVIOUS", "canary-earlier-secret-0123456789abcdef")];
        let both = [("MCP_SECRET", Missing), ("MCP_SECRET_PREVIOUS", Contradictory)];
        assert_eq!(found(&without_secret), both.map(|(name, level)| (name.to_owned(), level)));
        let sandbox = [("TIDB_CLOUD_SANDBOX", "http://127.0.0.1:8788"), ("PUBLIC_ORIGIN", "http://127.0.0.1:8787")];
        assert_eq!(found(&sandbox), [("TIDB_CLOUD_SANDBOX".to_owned(), Unsafe)]);
    }

    #[test]
    fn a_deployment_on_loopback_needs_no_public_origin() {
        let at = |origin: &str| {
            let config = Config::read(&|_| None).unwrap_or_else(|problems| panic!("{problems:?}"));
            let found = advice(&config, &Origin::parse(origin).expect("an origin"));
            found.iter().any(|finding| finding.setting == "PUBLIC_ORIGIN")
        };
        assert!(at("https://mcp.example.com") && !at("http://localhost:8787") && !at("http://127.0.0.1:8787"));
    }

    #[test]
    fn a_misspelt_name_is_found_and_what_resembles_no_setting_is_not_named() {
        for (name, meant) in [
            ("TIDBCLOUD_PUBLIC_KEY", "TIDB_CLOUD_PUBLIC_KEY"),
            ("TIDB_CLOUD_PRIVATEKEY", "TIDB_CLOUD_PRIVATE_KEY"),
            ("tidb_cloud_private_key", "TIDB_CLOUD_PRIVATE_KEY"),
            ("MCP_ACESS_KEY", "MCP_ACCESS_KEY"),
            ("MCP_ACCESS_KYE", "MCP_ACCESS_KEY"),
            ("MCP_ACCESS", "MCP_ACCESS_KEY"),
            ("MCP__SECRET", "MCP_SECRET"),
            ("MCP_SECERT", "MCP_SECRET"),
            ("ALERT_WEBHOOK", "ALERT_WEBHOOK_URL"),
            ("ALERT_WEBHOOK_URI", "ALERT_WEBHOOK_URL"),
            ("PUBLIC_ORIGINS", "PUBLIC_ORIGIN"),
            ("ALLOWED_IP", "ALLOWED_IPS"),
            ("CLUSTER_ALIAS", "CLUSTER_ALIASES"),
            ("RATE_LIMIT", "RATE_LIMIT_PER_MINUTE"),
            ("RATE_LIMITS_PER_MINUTE", "RATE_LIMIT_PER_MINUTE"),
            ("SQL_TAG", "SQL_TAGS"),
        ] {
            let expected = format!("Call it {meant}, or remove it.");
            let finding = misspelt(name).unwrap_or_else(|| panic!("{name} is not found to resemble {meant}"));
            assert_eq!((finding.level, finding.fix), (Level::Misspelt, expected), "{name}");
        }
        let others = [
            "CANARY",
            "DATABASE_URL",
            "API_KEY",
            "MY_SECRET",
            "NODE_ENV",
            "LOG_LEVEL",
            "SECRET",
            "TIDB",
            "TIDB_CLOUD",
            "MCP",
        ];
        let long = "MCP_SECRET_".repeat(100);
        for name in others.into_iter().chain(["", "_", "MCP_", long.as_str(), "\u{1F600}"]) {
            assert_eq!(misspelt(name), None, "{name} resembles no setting by more than chance");
        }
        for setting in SETTINGS {
            assert_eq!(misspelt(setting.name), None, "{} is a setting", setting.name);
        }
        let wrangler = std::fs::read_to_string("wrangler.toml").expect("wrangler.toml");
        let bound =
            wrangler.lines().filter_map(|line| line.split_once("name = \"").or(line.split_once("binding = \"")));
        let bound: Vec<_> = bound.filter_map(|(_, rest)| rest.split('"').next()).collect();
        assert!(
            bound.contains(&"RATE_LIMITER") && bound.contains(&"ASSETS"),
            "the bindings of wrangler.toml: {bound:?}"
        );
        for name in bound {
            assert_eq!(misspelt(name), None, "{name} is bound to the Worker, and no setting");
        }
    }
}
