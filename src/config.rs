//! The settings: Worker variables and secrets, read once per isolate.
//!
//! [`SETTINGS`] is the list that the documentation is generated from. A value that is wrong is named together with
//! all others that are, and the service then answers 503: it never runs half configured.

use url::Url;

use crate::{
    base::{address::Cidr, secret::Secret},
    port::Policy,
    tidbcloud::{ApiKey, Hosts, alias::Aliases},
};

/// Clients that run in a browser and send their own origin. It says whose page calls and opens nothing: the credential does.
const DEFAULT_ORIGINS: &str = "https://chatgpt.com, https://claude.ai, https://claude.com, https://vscode.dev";

/// One row of the settings table.
pub struct Setting {
    /// Name of the variable or secret.
    pub name: &'static str,
    /// Whether it is set as a secret.
    pub secret: bool,
    /// What holds where it is unset.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "RATE_LIMIT_PER_MINUTE",
        secret: false,
        default: "100",
        meaning: "Requests a minute per client IP (IPv6: per /64), from 1 to 1000000; as many can come at once.",
    },
    Setting {
        name: "CREDENTIAL_LIMIT_PER_MINUTE",
        secret: false,
        default: "120",
        meaning: "Requests a minute per credential, whatever their addresses, from 1 to 1000000; a quarter of them can come at once.",
    },
    Setting {
        name: "SHARED_EGRESS_IPS",
        secret: false,
        default: "160.79.104.0/21",
        meaning: "Comma-separated CIDRs that many strangers share (the default is Anthropic's published outbound range): ten times the limit per IP. Empty for none.",
    },
    Setting {
        name: "PUBLIC_ORIGIN",
        secret: false,
        default: "the request's origin",
        meaning: "Where set, the only host that is served and the OAuth issuer, for example `https://mcp.example.com`.",
    },
    Setting {
        name: "ALLOWED_ORIGINS",
        secret: false,
        default: DEFAULT_ORIGINS,
        meaning: "Comma-separated browser origins that may call, besides the server's own and loopback ones (the default are clients that run in a browser). Empty for none.",
    },
    Setting {
        name: "ALLOWED_IPS",
        secret: false,
        default: "all",
        meaning: "Comma-separated CIDRs that may call `/mcp`, whatever the credential. The consent page opens in a person's browser and is not covered.",
    },
    Setting {
        name: "ALLOWED_CREDENTIALS",
        secret: false,
        default: "`oauth,keys`; with an access key `oauth,access-key`",
        meaning: "Which kinds of credential are taken, of `oauth`, `keys` and `access-key`. Without `oauth` its routes do not exist.",
    },
    Setting {
        name: "CLUSTER_ALIASES",
        secret: false,
        default: "`{}`",
        meaning: "Short names for clusters: a JSON object of alias to cluster id, for example `{\"prod\": \"1379661944646413143\"}`.",
    },
    Setting {
        name: "TIDB_CLOUD_SANDBOX",
        secret: false,
        default: "unset",
        meaning: "Address of a sandbox, for example `http://127.0.0.1:8788`; only loopback hosts are served then.",
    },
    Setting {
        name: "TIDB_CLOUD_PUBLIC_KEY",
        secret: true,
        default: "unset",
        meaning: "With the next two: the owner's own deployment. All three or none.",
    },
    Setting { name: "TIDB_CLOUD_PRIVATE_KEY", secret: true, default: "unset", meaning: "See above." },
    Setting {
        name: "MCP_ACCESS_KEY",
        secret: true,
        default: "unset",
        meaning: "What the owner's clients send as `Authorization: Bearer`; at least 32 characters.",
    },
    Setting {
        name: "MCP_SECRET",
        secret: true,
        default: "made once and kept by a Durable Object",
        meaning: "What SQL passwords are derived from and grants are sealed with; at least 32 characters.",
    },
    Setting {
        name: "MCP_SECRET_PREVIOUS",
        secret: true,
        default: "unset",
        meaning: "The `MCP_SECRET` before this one: it opens grants and client ids that it sealed, and never seals.",
    },
    Setting {
        name: "TIDB_CLOUD_OAUTH_CLIENT_ID",
        secret: false,
        default: "unset",
        meaning: "TiDB Cloud's own OAuth, for a deployment that is a registered client: people then sign in there in place of giving keys.",
    },
    Setting {
        name: "TIDB_CLOUD_OAUTH_CLIENT_SECRET",
        secret: true,
        default: "unset",
        meaning: "Belongs to the one above: both or neither.",
    },
    Setting {
        name: "TIDB_CLOUD_OAUTH_AUTHORIZE_URL",
        secret: false,
        default: "unset",
        meaning: "The page of TiDB Cloud's authorization code flow, which is not published: where set, people are sent there; otherwise they type a code (device flow).",
    },
];

/// The shortest access key and server secret: 32 characters of hexadecimal are 128 bits.
const SECRET_CHARACTERS_MIN: usize = 32;

/// A credential can use a quarter of its minute at once.
const CREDENTIAL_BURST_DIVISOR: u32 = 4;

/// Upper bound of a limit: a permit a minute costs 60,000,000 µs; a million a minute still leaves 60 µs each.
const RATE_LIMIT_MAX: u32 = 1_000_000;

/// A wrong setting: which, and what it must be. Never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the setting.
    pub setting: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

/// A scheme, host and port, as browsers write it in `Origin` (RFC 6454 section 6.2): lower case, default port left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads an http or https origin: no path, query, fragment or user.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim()).ok()?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        bare.then(|| Self::of(&url))
    }

    /// The origin of a URL.
    pub fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }

    /// As a browser sends it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the host is this machine: `localhost`, `127.0.0.0/8` or `::1`, whatever the port.
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| is_loopback(&url))
    }
}

/// Whether a URL's host is this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Which kinds of credential a deployment takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Bearer tokens of this deployment's own authorization server.
    pub oauth: bool,
    /// The two key headers.
    pub keys: bool,
    /// The owner's access key.
    pub access_key: bool,
}

impl Allowed {
    /// Reads a list of kinds; `None` where one is not known or there is none.
    fn parse(text: &str) -> Option<Self> {
        let kinds = list(text, |kind| ["oauth", "keys", "access-key"].into_iter().find(|known| *known == kind))?;
        let has = |kind| kinds.contains(&kind);
        (!kinds.is_empty()).then(|| Self { oauth: has("oauth"), keys: has("keys"), access_key: has("access-key") })
    }
}

/// This deployment as a client of TiDB Cloud's own OAuth.
pub struct OAuthClient {
    /// Its id there.
    pub id: String,
    /// Its secret there.
    pub secret: Secret,
    /// The page of the authorization code flow; without one, the device flow is used.
    pub authorize_url: Option<Url>,
}

/// The owner's own deployment.
pub struct Owner {
    /// Keys for TiDB Cloud.
    pub key: ApiKey,
    /// What the owner's clients prove themselves with.
    pub access_key: Secret,
}

/// Settings that fit together.
pub struct Config {
    /// Limit per client IP.
    pub rate_limit: Policy,
    /// Limit per credential.
    pub credential_limit: Policy,
    /// Addresses that many strangers share.
    pub shared_egress: Vec<Cidr>,
    /// The only origin served, where set.
    pub public_origin: Option<Origin>,
    /// Browser origins besides our own and loopback ones.
    pub allowed_origins: Vec<Origin>,
    /// Addresses that may call `/mcp`; `None` are all.
    pub allowed_ips: Option<Vec<Cidr>>,
    /// Kinds of credential that are taken.
    pub allowed: Allowed,
    /// Short names for clusters.
    pub aliases: Aliases,
    /// TiDB Cloud, or a sandbox.
    pub hosts: Hosts,
    /// The owner, on the owner's own deployment.
    pub owner: Option<Owner>,
    /// The server secret, where one is set.
    pub secret: Option<Secret>,
    /// The server secret before it.
    pub previous_secret: Option<Secret>,
    /// TiDB Cloud's own OAuth, where this deployment is a client of it.
    pub tidb_cloud_oauth: Option<OAuthClient>,
}

impl Config {
    /// Reads all settings. `read` gives the value of a variable or secret; an empty one counts as unset, except where
    /// the table says that it means none.
    ///
    /// # Errors
    /// Every setting that is wrong.
    pub fn read(read: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let set = |name: &str| read(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut wrong = |setting, rule| problems.push(Problem { setting, rule });

        let mut limit = |name, default| match set(name).map(|text| text.parse::<u32>()) {
            None => default,
            Some(Ok(number)) if (1..=RATE_LIMIT_MAX).contains(&number) => number,
            Some(_) => {
                wrong(name, "must be a whole number from 1 to 1000000");
                1
            }
        };
        let per_minute = limit("RATE_LIMIT_PER_MINUTE", 100);
        let per_credential = limit("CREDENTIAL_LIMIT_PER_MINUTE", 120);
        let shared = read("SHARED_EGRESS_IPS").unwrap_or_else(|| "160.79.104.0/21".to_owned());
        let shared_egress = list(&shared, Cidr::parse).unwrap_or_else(|| {
            wrong("SHARED_EGRESS_IPS", "must be CIDRs such as 192.0.2.0/24, separated by commas");
            Vec::new()
        });
        let public_origin = set("PUBLIC_ORIGIN").and_then(|text| {
            let origin =
                Origin::parse(&text).filter(|origin| origin.as_str().starts_with("https:") || origin.is_loopback());
            if origin.is_none() {
                wrong("PUBLIC_ORIGIN", "must be an origin such as https://mcp.example.com, without a path");
            }
            origin
        });
        let origins = read("ALLOWED_ORIGINS").unwrap_or_else(|| DEFAULT_ORIGINS.to_owned());
        let allowed_origins = list(&origins, Origin::parse).unwrap_or_else(|| {
            wrong("ALLOWED_ORIGINS", "must be origins such as https://app.example.com, separated by commas");
            Vec::new()
        });
        let allowed_ips = set("ALLOWED_IPS").map(|text| {
            list(&text, Cidr::parse).filter(|ranges| !ranges.is_empty()).unwrap_or_else(|| {
                wrong("ALLOWED_IPS", "must be CIDRs such as 192.0.2.0/24, separated by commas");
                Vec::new()
            })
        });
        let aliases = set("CLUSTER_ALIASES").map_or_else(Aliases::default, |text| {
            Aliases::parse_json(&text).unwrap_or_else(|problem| {
                wrong("CLUSTER_ALIASES", problem);
                Aliases::default()
            })
        });
        let hosts = match set("TIDB_CLOUD_SANDBOX") {
            None => Hosts::real(),
            Some(text) => {
                let loopback = Origin::parse(&text).filter(Origin::is_loopback);
                let sandbox = loopback.and_then(|origin| Hosts::sandbox(origin.as_str()).ok());
                if sandbox.is_none() {
                    wrong("TIDB_CLOUD_SANDBOX", "must be a loopback address such as http://127.0.0.1:8788");
                }
                if public_origin.as_ref().is_some_and(|origin| !origin.is_loopback()) {
                    wrong("PUBLIC_ORIGIN", "must be a loopback origin while TIDB_CLOUD_SANDBOX is set");
                }
                sandbox.unwrap_or_else(Hosts::real)
            }
        };

        let access = set("MCP_ACCESS_KEY");
        let has_access_key = access.is_some();
        if access.as_deref().is_some_and(|access| !long_enough(access)) {
            wrong("MCP_ACCESS_KEY", "must be at least 32 visible ASCII characters");
        }
        let owner = match (set("TIDB_CLOUD_PUBLIC_KEY"), set("TIDB_CLOUD_PRIVATE_KEY"), access) {
            (None, None, None) => None,
            (Some(public), Some(private), Some(access)) => {
                let key = ApiKey::new(public, private).ok();
                if key.is_none() {
                    wrong(
                        "TIDB_CLOUD_PUBLIC_KEY",
                        "and TIDB_CLOUD_PRIVATE_KEY must be an API key pair as TiDB Cloud shows it",
                    );
                }
                key.map(|key| Owner { key, access_key: Secret::new(access) })
            }
            (public, private, access) => {
                for (missing, name) in [
                    (public.is_none(), "TIDB_CLOUD_PUBLIC_KEY"),
                    (private.is_none(), "TIDB_CLOUD_PRIVATE_KEY"),
                    (access.is_none(), "MCP_ACCESS_KEY"),
                ] {
                    if missing {
                        wrong(
                            name,
                            "is missing: set TIDB_CLOUD_PUBLIC_KEY, TIDB_CLOUD_PRIVATE_KEY and MCP_ACCESS_KEY, or none of them",
                        );
                    }
                }
                None
            }
        };
        let mut server_secret = |name| {
            set(name).map(|text| {
                if !long_enough(&text) {
                    wrong(name, "must be at least 32 visible ASCII characters");
                }
                Secret::new(text)
            })
        };
        let secret = server_secret("MCP_SECRET");
        let previous_secret = server_secret("MCP_SECRET_PREVIOUS");
        let default = if has_access_key {
            Allowed { oauth: true, keys: false, access_key: true }
        } else {
            Allowed { oauth: true, keys: true, access_key: false }
        };
        let allowed = set("ALLOWED_CREDENTIALS").map_or(default, |text| {
            let allowed = Allowed::parse(&text).filter(|allowed| has_access_key || !allowed.access_key);
            if allowed.is_none() {
                wrong(
                    "ALLOWED_CREDENTIALS",
                    "must be some of oauth, keys and access-key, separated by commas; access-key only where MCP_ACCESS_KEY is set",
                );
            }
            allowed.unwrap_or(default)
        });
        let authorize_url = set("TIDB_CLOUD_OAUTH_AUTHORIZE_URL").and_then(|text| {
            let url = Url::parse(&text).ok().filter(|url| url.scheme() == "https" && url.fragment().is_none());
            if url.is_none() {
                wrong("TIDB_CLOUD_OAUTH_AUTHORIZE_URL", "must be an https address without a fragment");
            }
            url
        });
        let tidb_cloud_oauth = match (set("TIDB_CLOUD_OAUTH_CLIENT_ID"), set("TIDB_CLOUD_OAUTH_CLIENT_SECRET")) {
            (None, None) => None,
            (Some(id), Some(secret)) => Some(OAuthClient { id, secret: Secret::new(secret), authorize_url }),
            (id, _) => {
                let missing =
                    if id.is_none() { "TIDB_CLOUD_OAUTH_CLIENT_ID" } else { "TIDB_CLOUD_OAUTH_CLIENT_SECRET" };
                wrong(missing, "is missing: set TIDB_CLOUD_OAUTH_CLIENT_ID and its secret, or neither");
                None
            }
        };

        if problems.is_empty() {
            Ok(Self {
                rate_limit: Policy::per_minute(per_minute, per_minute),
                credential_limit: Policy::per_minute(per_credential, per_credential.div_ceil(CREDENTIAL_BURST_DIVISOR)),
                shared_egress,
                public_origin,
                allowed_origins,
                allowed_ips,
                allowed,
                aliases,
                hosts,
                owner,
                secret,
                previous_secret,
                tidb_cloud_oauth,
            })
        } else {
            Err(problems)
        }
    }
}

fn long_enough(text: &str) -> bool {
    text.len() >= SECRET_CHARACTERS_MIN && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads a comma-separated list; one bad item spoils it.
fn list<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::{Allowed, Config, Origin, Problem, SETTINGS};

    fn read(settings: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        Config::read(&|name| {
            assert!(SETTINGS.iter().any(|setting| setting.name == name), "{name} is not in the table");
            settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn wrong(settings: &[(&str, &str)]) -> Vec<&'static str> {
        read(settings).err().unwrap_or_default().into_iter().map(|problem| problem.setting).collect()
    }

    fn valid(settings: &[(&str, &str)]) -> Config {
        read(settings).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    const ACCESS: &str = "canary-access-key-0123456789abcdef";

    #[test]
    fn nothing_set_is_a_shared_deployment_with_the_defaults() {
        let config = valid(&[]);
        assert_eq!((config.rate_limit.permits, config.rate_limit.burst), (100, 100));
        assert_eq!(config.shared_egress.len(), 1);
        assert!(config.owner.is_none() && config.secret.is_none() && config.public_origin.is_none());
        assert!(valid(&[("SHARED_EGRESS_IPS", "")]).shared_egress.is_empty());
        assert_eq!(config.allowed_origins.len(), 4);
        assert!(valid(&[("ALLOWED_ORIGINS", " ")]).allowed_origins.is_empty());
    }

    #[test]
    fn an_owner_sets_three_secrets_or_none() {
        let whole = [
            ("TIDB_CLOUD_PUBLIC_KEY", "CANARY01"),
            ("TIDB_CLOUD_PRIVATE_KEY", "canary-private-key"),
            ("MCP_ACCESS_KEY", ACCESS),
        ];
        assert!(valid(&whole).owner.is_some());
        for left_out in 0..3 {
            let mut rest = whole.to_vec();
            let (name, _) = rest.remove(left_out);
            assert_eq!(wrong(&rest), [name]);
        }
        assert_eq!(wrong(&[whole[0], whole[1], ("MCP_ACCESS_KEY", "canary-too-short")]), ["MCP_ACCESS_KEY"]);
        assert_eq!(wrong(&[("TIDB_CLOUD_PUBLIC_KEY", "a:b"), whole[1], whole[2]]), ["TIDB_CLOUD_PUBLIC_KEY"]);
    }

    #[test]
    fn every_wrong_setting_is_named_at_once_and_no_value_is() {
        let bad = [
            ("RATE_LIMIT_PER_MINUTE", "canary-0"),
            ("CREDENTIAL_LIMIT_PER_MINUTE", "canary-0"),
            ("SHARED_EGRESS_IPS", "canary"),
            ("PUBLIC_ORIGIN", "https://canary.example/path"),
            ("ALLOWED_ORIGINS", "https://fine.example, canary"),
            ("ALLOWED_IPS", "canary"),
            ("CLUSTER_ALIASES", "{\"canary\": 1}"),
            ("TIDB_CLOUD_SANDBOX", "https://canary.example"),
            ("MCP_SECRET", "canary"),
            ("MCP_SECRET_PREVIOUS", "canary"),
            ("ALLOWED_CREDENTIALS", "oauth,canary"),
            ("TIDB_CLOUD_OAUTH_AUTHORIZE_URL", "http://canary.example"),
        ];
        let problems = read(&bad).err().expect("invalid");
        assert_eq!(problems.iter().map(|problem| problem.setting).collect::<Vec<_>>(), bad.map(|(name, _)| name));
        assert!(!format!("{problems:?}").contains("canary"));
    }

    #[test]
    fn what_is_taken_follows_from_who_deploys() {
        let allowed = |settings: &[(&str, &str)]| {
            let Allowed { oauth, keys, access_key } = valid(settings).allowed;
            (oauth, keys, access_key)
        };
        let owner = [
            ("TIDB_CLOUD_PUBLIC_KEY", "CANARY01"),
            ("TIDB_CLOUD_PRIVATE_KEY", "canary-private-key"),
            ("MCP_ACCESS_KEY", ACCESS),
        ];
        assert_eq!(allowed(&[]), (true, true, false));
        assert_eq!(allowed(&owner), (true, false, true));
        assert_eq!(allowed(&[("ALLOWED_CREDENTIALS", " keys ")]), (false, true, false));
        let all = [owner.as_slice(), &[("ALLOWED_CREDENTIALS", "access-key,keys,oauth")]].concat();
        assert_eq!(allowed(&all), (true, true, true));
        for wrong_list in ["access-key", "everything", ",", "OAuth"] {
            assert_eq!(wrong(&[("ALLOWED_CREDENTIALS", wrong_list)]), ["ALLOWED_CREDENTIALS"], "{wrong_list}");
        }
        assert_eq!(wrong(&[("TIDB_CLOUD_OAUTH_CLIENT_ID", "canary")]), ["TIDB_CLOUD_OAUTH_CLIENT_SECRET"]);
        assert_eq!(valid(&[("CREDENTIAL_LIMIT_PER_MINUTE", "10")]).credential_limit.burst, 3);
    }

    #[test]
    fn a_sandbox_is_never_public() {
        let sandbox = ("TIDB_CLOUD_SANDBOX", "http://127.0.0.1:8788");
        assert!(read(&[sandbox, ("PUBLIC_ORIGIN", "http://localhost:8787")]).is_ok());
        assert_eq!(wrong(&[sandbox, ("PUBLIC_ORIGIN", "https://mcp.example.com")]), ["PUBLIC_ORIGIN"]);
    }

    #[test]
    fn origins_compare_as_browsers_write_them() {
        let origin = |text| Origin::parse(text).map(|origin| origin.as_str().to_owned());
        assert_eq!(origin("HTTPS://CLAUDE.AI"), origin("https://claude.ai:443"));
        assert_ne!(origin("https://claude.ai"), origin("http://claude.ai"));
        assert_ne!(origin("https://claude.ai"), origin("https://claude.ai.evil.example"));
        for garbage in
            ["", "null", "*", "claude.ai", "file:///x", "https://a/b", "https://u@a", "https://a?b", "https://a#b"]
        {
            assert_eq!(origin(garbage), None, "{garbage}");
        }
    }
}
