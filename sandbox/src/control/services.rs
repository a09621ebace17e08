//! The services that one loopback address stands for: the differences between their hosts, as data.

use super::{
    answers::{self, ErrorShape, OAUTH, OPEN_API, RPC, SQL},
    contract::{
        Origin,
        Origin::{ByHand, Client, Published},
    },
};

/// Starter and Essential: clusters, branches, regions, exports, imports, backups.
pub const SERVERLESS_HOST: &str = "serverless.tidbapi.com";
/// Identity: SQL users, projects, members, API keys, the console's audit log.
pub const IAM_HOST: &str = "iam.tidbapi.com";

/// How a service is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Operations of the control plane, for an API key by digest or a token of TiDB Cloud's own OAuth.
    Digest,
    /// SQL over HTTP, for a SQL user by Basic.
    Sql,
    /// The authorization server.
    OAuth,
}

/// A service of TiDB Cloud.
pub(super) struct Service {
    /// Its host; a `*` stands for any labels.
    pub(super) host: &'static str,
    /// The start of its paths, with the version; routes are written without it.
    pub(super) base: &'static str,
    pub(super) protocol: Protocol,
    /// The shape of its own errors.
    pub(super) errors: &'static ErrorShape,
    /// The files that describe its operations, the published one first.
    pub(super) contract: &'static [(Origin, &'static str)],
}

/// A service of the control plane.
const fn digest(
    host: &'static str,
    base: &'static str,
    errors: &'static ErrorShape,
    contract: &'static [(Origin, &'static str)],
) -> Service {
    Service { host, base, protocol: Protocol::Digest, errors, contract }
}

pub(super) static SERVERLESS: Service = digest(
    SERVERLESS_HOST,
    "/v1beta1",
    &RPC,
    &[
        (Published, include_str!("../../../contract/serverless.json")),
        (Client, include_str!("../../../contract/serverless-branch-client.json")),
        (Client, include_str!("../../../contract/serverless-export-client.json")),
        (Client, include_str!("../../../contract/serverless-import-client.json")),
        (Client, include_str!("../../../contract/serverless-backup-client.json")),
    ],
);

pub(super) static IAM: Service = digest(
    IAM_HOST,
    "/v1beta1",
    &OPEN_API,
    &[
        (Published, include_str!("../../../contract/iam.json")),
        (Client, include_str!("../../../contract/iam-client.json")),
    ],
);

pub(super) static PREMIUM: Service =
    digest("cloud.tidbapi.com", "/v1beta2", &RPC, &[(Published, include_str!("../../../contract/premium.json"))]);

pub(super) static DEDICATED: Service =
    digest("dedicated.tidbapi.com", "/v1beta1", &RPC, &[(Published, include_str!("../../../contract/dedicated.json"))]);

pub(super) static BILLING: Service = digest(
    "billing.tidbapi.com",
    "/v1beta1",
    &answers::BILLING,
    &[(Published, include_str!("../../../contract/billing.json"))],
);

static DATA_SERVICE: Service = digest("dataservice.tidbapi.com", "/v1beta1", &RPC, &[]);
static LEGACY: Service = digest("api.tidbcloud.com", "/api/v1beta", &RPC, &[]);

/// The host is `http-` before that of a public endpoint.
pub(super) static SQL_GATEWAY: Service = Service {
    host: "http-*.tidbcloud.com",
    base: "/v1beta",
    protocol: Protocol::Sql,
    errors: &SQL,
    contract: &[(ByHand, include_str!("../../../contract/sql-gateway.json"))],
};

pub(super) static AUTHORIZATION: Service =
    Service { host: "oauth.tidbcloud.com", base: "", protocol: Protocol::OAuth, errors: &OAUTH, contract: &[] };

/// All of them, whether or not the sandbox has operations there.
pub(super) static SERVICES: &[&Service] =
    &[&SERVERLESS, &IAM, &PREMIUM, &DEDICATED, &BILLING, &DATA_SERVICE, &LEGACY, &SQL_GATEWAY, &AUTHORIZATION];

impl Service {
    /// Whether `host` is this service's.
    fn is_at(&self, host: &str) -> bool {
        let Some((start, end)) = self.host.split_once('*') else { return self.host == host };
        let between = host.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        between.is_some_and(|labels| labels.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)))
    }
}

/// The service at `host`.
pub(super) fn find(host: &str) -> Option<&'static Service> {
    SERVICES.iter().copied().find(|service| service.is_at(host))
}

/// Every host that is spoken to by HTTPS; of the SQL gateway those of the sandbox's regions.
pub(crate) fn https_hosts() -> impl Iterator<Item = String> {
    let fixed = SERVICES.iter().map(|service| service.host).filter(|host| !host.contains('*')).map(str::to_owned);
    fixed
        .chain(super::public_hosts().into_iter().map(|host| format!("http-{host}")))
        .chain([super::STORAGE_HOST.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::{SERVICES, find, https_hosts};

    #[test]
    fn each_host_that_is_spoken_to_by_https_is_one_of_a_service() {
        let hosts: Vec<_> = https_hosts().collect();
        for host in &hosts {
            let is_storage = host == super::super::STORAGE_HOST;
            assert!(find(host).is_some() || is_storage, "{host} belongs to a service, or is that of files");
        }
        for service in SERVICES {
            assert!(hosts.iter().any(|host| service.is_at(host)), "{} is spoken to by HTTPS", service.host);
        }
    }

    #[test]
    fn a_host_belongs_to_one_service() {
        for service in SERVICES {
            let host = service.host.replace('*', "gateway01.us-east-1.prod.aws");
            let there: Vec<_> =
                SERVICES.iter().copied().filter(|other| other.is_at(&host)).map(|other| other.host).collect();
            assert_eq!(there, [service.host], "{host} belongs to its own service and to no other");
            for elsewhere in [format!("{host}.evil.example"), format!("evil.example/{host}"), format!("a/{host}")] {
                assert!(find(&elsewhere).is_none(), "{elsewhere} is not a host of TiDB Cloud");
            }
        }
        assert!(find("http-a/.tidbcloud.com").is_none(), "a `*` stands for labels alone");
    }
}
