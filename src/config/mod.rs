//! The settings: Worker variables and secrets, read once per isolate.
//!
//! [`SETTINGS`] is the table: each row is documented and read by itself. All wrong settings are named together, and the
//! service then answers 503: it never runs half configured.

mod advice;
mod alerts;
mod draft;
mod origin;
mod settings;

use url::Url;

use self::draft::Draft;
pub use self::{
    advice::{Finding, Level, advice},
    alerts::{AlertFormat, Alerts},
    origin::{Origin, is_loopback, may_be_here},
    settings::{SETTINGS, Setting, Unset},
};
use crate::{
    base::{address::Cidr, secret::Secret},
    port::Policy,
    tidbcloud::{ApiKey, Hosts, alias::Aliases},
};

/// A wrong setting: which, and what it must be. Never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the setting.
    pub setting: &'static str,
    /// What it must be.
    pub rule: &'static str,
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
    /// What `ALLOWED_CREDENTIALS` must be.
    const RULE: &str =
        "must be some of oauth, keys and access-key, separated by commas; access-key only if MCP_ACCESS_KEY is set";

    /// The default: the access key on an owner's deployment, key headers elsewhere.
    fn unset(has_access_key: bool) -> Self {
        Self { oauth: true, keys: !has_access_key, access_key: has_access_key }
    }

    /// Reads a list of kinds; `None` if it is empty or has an unknown kind.
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
    /// The credential of the owner's clients.
    pub access_key: Secret,
}

/// TiDB Cloud takes 100 requests a minute for a key. This server leaves 20 of them to whatever else uses it.
const UPSTREAM_LIMIT: Policy = Policy::in_any_minute(80);

/// Settings that fit together.
pub struct Config {
    /// Limit per client IP.
    pub rate_limit: Policy,
    /// Limit per credential.
    pub credential_limit: Policy,
    /// Limit of calls that change something, per credential.
    pub write_limit: Policy,
    /// Limit of requests to TiDB Cloud's API, per key pair.
    pub upstream_limit: Policy,
    /// Addresses that many strangers share.
    pub shared_egress: Vec<Cidr>,
    /// The only origin served, if set.
    pub public_origin: Option<Origin>,
    /// Browser origins besides our own and loopback ones.
    pub allowed_origins: Vec<Origin>,
    /// Addresses that may call `/mcp`; `None` are all.
    pub allowed_ips: Option<Vec<Cidr>>,
    /// Kinds of credential that are taken.
    pub allowed: Allowed,
    /// Short names for clusters.
    pub aliases: Aliases,
    /// Whether SQL statements begin with a comment that names their tool and request.
    pub sql_tags: bool,
    /// Estimated rows above which a statement needs a person; 0 for never.
    pub rows_guard: u64,
    /// Of a hundred requests in which nothing went wrong and nothing was changed, how many are logged.
    pub log_percent: u8,
    /// TiDB Cloud, or a sandbox.
    pub hosts: Hosts,
    /// The owner, on the owner's own deployment.
    pub owner: Option<Owner>,
    /// The server secret, if set.
    pub secret: Option<Secret>,
    /// The previous server secret.
    pub previous_secret: Option<Secret>,
    /// TiDB Cloud's own OAuth, if this deployment is a client of it.
    pub tidb_cloud_oauth: Option<OAuthClient>,
    /// Names of all that is set here, settings or not, as far as they are known.
    pub names: Vec<String>,
    /// Who is told of trouble, if anybody is.
    pub alerts: Option<Alerts>,
    /// Id of this upload of the Worker, on Cloudflare.
    pub worker_version: Option<String>,
}

impl Config {
    /// The empty settings. Defaults come from the rows.
    fn unset() -> Self {
        Self {
            rate_limit: Policy::per_minute(1, 1),
            credential_limit: Policy::per_minute(1, 1),
            write_limit: Policy::per_minute(1, 1),
            upstream_limit: UPSTREAM_LIMIT,
            shared_egress: Vec::new(),
            public_origin: None,
            allowed_origins: Vec::new(),
            allowed_ips: None,
            allowed: Allowed::unset(false),
            aliases: Aliases::default(),
            sql_tags: false,
            rows_guard: 0,
            log_percent: 100,
            hosts: Hosts::real(),
            owner: None,
            secret: None,
            previous_secret: None,
            tidb_cloud_oauth: None,
            names: Vec::new(),
            alerts: None,
            worker_version: None,
        }
    }

    /// Reads all settings. `read` gives the value of a variable or secret; a blank one counts as unset, except where the
    /// table says that it means none.
    ///
    /// # Errors
    /// Every setting that is wrong.
    pub fn read(read: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Problem>> {
        let (config, problems) = Self::read_all(read);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Who is told of trouble, although other settings are wrong.
    pub fn alerts_of(read: &dyn Fn(&str) -> Option<String>) -> Option<Alerts> {
        let (config, problems) = Self::read_all(read);
        config.alerts.filter(|_| !problems.iter().any(|problem| Alerts::SETTINGS.contains(&problem.setting)))
    }

    fn read_all(read: &dyn Fn(&str) -> Option<String>) -> (Self, Vec<Problem>) {
        let (mut draft, mut problems) = (Draft::new(), Vec::new());
        for setting in SETTINGS {
            if let Some(text) = setting.value(read(setting.name))
                && let Err(rule) = (setting.read)(&mut draft, &text)
            {
                problems.push(Problem { setting: setting.name, rule });
            }
        }
        let config = draft.fit_together(&mut problems);
        let place = |problem: &Problem| SETTINGS.iter().position(|setting| setting.name == problem.setting);
        problems.sort_by_key(place);
        (config, problems)
    }
}

/// The id in the value of the binding `CF_VERSION_METADATA`
/// (<https://developers.cloudflare.com/workers/runtime-apis/bindings/version-metadata/>), which is no setting: Cloudflare sets it.
pub fn worker_version(metadata: &str) -> Option<String> {
    let metadata: serde_json::Value = serde_json::from_str(metadata).ok()?;
    let id = metadata.get("id")?.as_str()?;
    let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then(|| id.to_owned())
}

/// Reads a comma-separated list; one bad item spoils it.
fn list<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::{AlertFormat, Allowed, Config, Origin, Problem, SETTINGS};

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
        assert!(config.sql_tags && !valid(&[("SQL_TAGS", "off")]).sql_tags);
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
            ("SQL_TAGS", "canary"),
            ("LOG_PERCENT", "canary"),
            ("TIDB_CLOUD_SANDBOX", "https://canary.example"),
            ("MCP_SECRET", "canary"),
            ("MCP_SECRET_PREVIOUS", "canary"),
            ("ALLOWED_CREDENTIALS", "oauth,canary"),
            ("TIDB_CLOUD_OAUTH_AUTHORIZE_URL", "http://canary.example"),
            ("ALERT_WEBHOOK_URL", "http://canary.example"),
            ("ALERT_FORMAT", "canary"),
            ("ALERT_ERROR_PERCENT", "canary"),
        ];
        let problems = read(&bad).err().expect("invalid");
        let named: Vec<_> = problems.iter().map(|problem| problem.setting).collect();
        let table = SETTINGS.iter().map(|setting| setting.name);
        let expected: Vec<_> = table.filter(|name| bad.iter().any(|(bad, _)| bad == name)).collect();
        assert_eq!(named, expected, "all settings that are wrong are named, in the order of the table");
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
        let slow = valid(&[("CREDENTIAL_LIMIT_PER_MINUTE", "10")]);
        assert_eq!((slow.credential_limit.burst, slow.write_limit.permits), (3, 1));
    }

    #[test]
    fn a_sandbox_is_never_public() {
        let sandbox = ("TIDB_CLOUD_SANDBOX", "http://127.0.0.1:8788");
        assert!(read(&[sandbox, ("PUBLIC_ORIGIN", "http://localhost:8787")]).is_ok());
        assert_eq!(wrong(&[sandbox, ("PUBLIC_ORIGIN", "https://mcp.example.com")]), ["PUBLIC_ORIGIN"]);
        let many = ("CREDENTIAL_LIMIT_PER_MINUTE", "1000000");
        assert_eq!(valid(&[many]).upstream_limit, valid(&[]).upstream_limit, "TiDB Cloud's limit is no setting");
        assert_eq!(valid(&[sandbox]).upstream_limit, valid(&[]).upstream_limit);
        assert!(valid(&[sandbox, many]).upstream_limit.permits > 80, "a sandbox's keys are shared by all tests");
    }

    #[test]
    fn alerts_go_to_an_https_address_and_to_this_machine_only_beside_a_sandbox() {
        let sandbox = ("TIDB_CLOUD_SANDBOX", "http://127.0.0.1:8788");
        let wrong_alone = |url| !wrong(&[("ALERT_WEBHOOK_URL", url)]).is_empty();
        let wrong_beside_a_sandbox = |url| !wrong(&[sandbox, ("ALERT_WEBHOOK_URL", url)]).is_empty();
        assert!(valid(&[("ALERT_FORMAT", "json"), ("ALERT_ERROR_PERCENT", "1")]).alerts.is_none(), "nobody is told");
        for good in ["https://hooks.example.com/services/canary?key=canary", "https://192.0.2.1:8443/"] {
            assert!(!wrong_alone(good) && !wrong_beside_a_sandbox(good), "{good} is an https address");
        }
        for local in ["http://127.0.0.1:9/canary", "https://localhost/canary", "http://[::1]:9/", "http://127.9.9.9/"] {
            assert!(wrong_alone(local) && !wrong_beside_a_sandbox(local), "{local} is for tests");
        }
        for bad in [
            "canary",
            "http://hooks.example.com/",
            "ftp://127.0.0.1/",
            "https://user@hooks.example.com/",
            "https://user:canary@hooks.example.com/",
            "http://:canary@127.0.0.1/",
            "https://hooks.example.com/#canary",
            "https://",
        ] {
            assert!(wrong_alone(bad) && wrong_beside_a_sandbox(bad), "{bad} is refused");
        }
        for percent in ["0", "101", "-1", "5.5", "5%", "canary"] {
            assert_eq!(wrong(&[("ALERT_ERROR_PERCENT", percent)]), ["ALERT_ERROR_PERCENT"], "{percent}");
        }
        let alerts = valid(&[("ALERT_WEBHOOK_URL", "https://hooks.example.com/")]).alerts.expect("alerts");
        assert_eq!((alerts.percent, alerts.format), (5, AlertFormat::Slack));
    }

    #[test]
    fn who_is_told_of_wrong_settings_is_known_if_the_settings_of_alerts_are_right() {
        let of = |settings: &[(&str, &str)]| {
            let read = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            Config::alerts_of(&read)
        };
        let (hook, bad) = (("ALERT_WEBHOOK_URL", "https://hooks.example.com/"), ("MCP_SECRET", "canary"));
        assert!(of(&[hook, bad]).is_some_and(|alerts| alerts.webhook.expose() == hook.1), "MCP_SECRET is wrong");
        assert!(of(&[bad]).is_none(), "nobody is named");
        for wrong in [("ALERT_FORMAT", "canary"), ("ALERT_ERROR_PERCENT", "canary")] {
            assert!(of(&[hook, bad, wrong]).is_none(), "{wrong:?} is wrong, so it is not known how to tell");
        }
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
