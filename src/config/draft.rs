//! Settings that were read one by one, and the rules about several of them together.

use url::Url;

use super::{AlertFormat, Alerts, Allowed, Config, OAuthClient, Owner, Problem};
use crate::{base::secret::Secret, port::Policy, tidbcloud::ApiKey};

/// The settings read so far.
pub(super) struct Draft {
    /// The settings by themselves.
    pub(super) config: Config,
    pub(super) allowed: Option<Allowed>,
    /// Whether a sandbox is set, even with a wrong address.
    pub(super) has_sandbox: bool,
    pub(super) public_key: Option<String>,
    pub(super) private_key: Option<String>,
    pub(super) access_key: Option<String>,
    pub(super) oauth_id: Option<String>,
    pub(super) oauth_secret: Option<String>,
    pub(super) oauth_authorize_url: Option<Url>,
    pub(super) webhook: Option<Url>,
    pub(super) alert_format: AlertFormat,
    pub(super) alert_percent: u8,
}

impl Draft {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            config: Config::unset(),
            allowed: None,
            has_sandbox: false,
            public_key: None,
            private_key: None,
            access_key: None,
            oauth_id: None,
            oauth_secret: None,
            oauth_authorize_url: None,
            webhook: None,
            alert_format: AlertFormat::Slack,
            alert_percent: 1,
        }
    }

    /// The settings, and the problems of those that do not fit together.
    pub(super) fn fit_together(mut self, problems: &mut Vec<Problem>) -> Config {
        let mut wrong = |setting, rule| problems.push(Problem { setting, rule });
        if self.has_sandbox && self.config.public_origin.as_ref().is_some_and(|origin| !origin.is_loopback()) {
            wrong("PUBLIC_ORIGIN", "must be a loopback origin while TIDB_CLOUD_SANDBOX is set");
        }
        if self.has_sandbox {
            // Its few keys are those of all tests and clients: 80 for each 120 requests that a credential may send.
            let permits = self.config.credential_limit.permits.saturating_mul(2) / 3;
            let least = self.config.upstream_limit.permits;
            self.config.upstream_limit = Policy::in_any_minute(permits.max(least));
        }
        let has_access_key = self.access_key.is_some();
        if self.allowed.is_some_and(|allowed| allowed.access_key) && !has_access_key {
            wrong("ALLOWED_CREDENTIALS", Allowed::RULE);
        }
        self.config.allowed = self.allowed.unwrap_or(Allowed::unset(has_access_key));
        self.config.alerts = self.webhook.and_then(|webhook| {
            let alerts = Alerts::to(&webhook, self.has_sandbox, self.alert_format, self.alert_percent);
            alerts.map_err(|rule| wrong(Alerts::WEBHOOK, rule)).ok()
        });
        self.config.owner = owner(self.public_key, self.private_key, self.access_key, &mut wrong);
        self.config.tidb_cloud_oauth = match (self.oauth_id, self.oauth_secret) {
            (None, None) => None,
            (Some(id), Some(secret)) => {
                Some(OAuthClient { id, secret: Secret::new(secret), authorize_url: self.oauth_authorize_url })
            }
            (id, _) => {
                let missing =
                    if id.is_none() { "TIDB_CLOUD_OAUTH_CLIENT_ID" } else { "TIDB_CLOUD_OAUTH_CLIENT_SECRET" };
                wrong(missing, "is missing: set TIDB_CLOUD_OAUTH_CLIENT_ID and its secret, or neither");
                None
            }
        };
        self.config
    }
}

/// The owner: all three settings or none.
fn owner(
    public: Option<String>,
    private: Option<String>,
    access: Option<String>,
    wrong: &mut impl FnMut(&'static str, &'static str),
) -> Option<Owner> {
    let missing = [
        (public.is_none(), "TIDB_CLOUD_PUBLIC_KEY"),
        (private.is_none(), "TIDB_CLOUD_PRIVATE_KEY"),
        (access.is_none(), "MCP_ACCESS_KEY"),
    ];
    let (Some(public), Some(private), Some(access)) = (public, private, access) else {
        let any = missing.iter().any(|(is_missing, _)| !is_missing);
        for (_, name) in missing.into_iter().filter(|(is_missing, _)| *is_missing && any) {
            wrong(
                name,
                "is missing: set TIDB_CLOUD_PUBLIC_KEY, TIDB_CLOUD_PRIVATE_KEY and MCP_ACCESS_KEY, or none of them",
            );
        }
        return None;
    };
    let Ok(key) = ApiKey::new(public, private) else {
        wrong("TIDB_CLOUD_PUBLIC_KEY", "and TIDB_CLOUD_PRIVATE_KEY must be an API key pair as TiDB Cloud shows it");
        return None;
    };
    Some(Owner { key, access_key: Secret::new(access) })
}
