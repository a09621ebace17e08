//! The differences between the APIs of TiDB Cloud, as data. No other code depends on which API it calls.

use super::transport::hosts::Host;

/// One API of TiDB Cloud: where it is, and how it speaks.
pub(crate) struct Service {
    /// Where it is.
    pub(crate) host: Host<'static>,
    /// The start of every path.
    pub(crate) version: &'static str,
    /// A read without effect. A write uses it to get its nonce, without credentials, so it must be harmless even if a server
    /// does not challenge it. `{}` is the caller's public key.
    pub(crate) probe: &'static str,
    /// How it refuses.
    pub(crate) errors: ErrorShape,
}

/// The places of the parts of an error: JSON pointers (RFC 6901), because an API writes its errors in one shape and the
/// gateway in front of it in another.
pub(crate) struct ErrorShape {
    /// Texts; those that are there are joined.
    pub(crate) message: &'static [&'static str],
    /// Numbers or words; the first that is there counts.
    pub(crate) code: &'static [&'static str],
    /// The code for a public key that does not exist, of the gateway that knows the keys.
    pub(crate) unknown_key: Option<&'static str>,
}

/// The code of TiDB Cloud's API gateway for a public key that does not exist. Seen, not published: a 401 with it carries
/// no challenge.
const UNKNOWN_PUBLIC_KEY: Option<&str> = Some("49900001");

/// `google.rpc.Status`, `{code, message, details}`: the API gateway's own shape, and that of most APIs behind it.
const RPC_STATUS: ErrorShape = ErrorShape { message: &["/message"], code: &["/code"], unknown_key: UNKNOWN_PUBLIC_KEY };

/// `{code, error, msgPrefix, status}` (schema `ErrorResponse` of IAM), where `error` is of any type; the gateway's shape
/// in front of it.
const PREFIXED: ErrorShape = ErrorShape {
    message: &["/message", "/msgPrefix", "/error", "/error/message"],
    code: &["/code", "/error/code"],
    unknown_key: UNKNOWN_PUBLIC_KEY,
};

/// Instances of TiDB Cloud Starter and Essential, their branches and regions. TiDB Cloud API, "TiDB Cloud Starter and
/// Essential", `v1beta1`.
pub(crate) static SERVERLESS: Service =
    Service { host: Host::fixed("serverless.tidbapi.com"), version: "v1beta1", probe: "regions", errors: RPC_STATUS };

/// Instances of TiDB Cloud Premium, and of Essential as it is made since 2026. TiDB Cloud API, "TiDB Cloud Premium", `v1beta2`.
pub(crate) static PREMIUM: Service =
    Service { host: Host::fixed("cloud.tidbapi.com"), version: "v1beta2", probe: "regions", errors: RPC_STATUS };

/// Clusters of TiDB Cloud Dedicated. TiDB Cloud API, "TiDB Cloud Dedicated", `v1beta1`.
pub(crate) static DEDICATED: Service =
    Service { host: Host::fixed("dedicated.tidbapi.com"), version: "v1beta1", probe: "regions", errors: RPC_STATUS };

/// API keys and SQL users. API keys are published (TiDB Cloud API, "IAM", `v1beta1`); SQL users are as TiDB Cloud's
/// command line client manages them.
pub(crate) static IAM: Service =
    Service { host: Host::fixed("iam.tidbapi.com"), version: "v1beta1", probe: "apikeys/{}", errors: PREFIXED };

/// Bills. TiDB Cloud API, "Billing", `v1beta1`.
pub(crate) static BILLING: Service = Service {
    host: Host::fixed("billing.tidbapi.com"),
    version: "v1beta1",
    probe: "billsCostExplorer/args",
    errors: PREFIXED,
};

/// The APIs that tools cannot do without. Each API has a circuit of its own.
pub(crate) static CONTROL_PLANE: [&Service; 2] = [&SERVERLESS, &IAM];

/// TiDB Cloud's own authorization server, as TiDB Cloud's command line client calls it. Errors are those of RFC 6749
/// section 5.2. It is not asked for nonces; without a token its probe is refused, as elsewhere.
pub(crate) static OAUTH: Service = Service {
    host: Host::fixed("oauth.tidbcloud.com"),
    version: "v1",
    probe: "userinfo",
    errors: ErrorShape {
        message: &["/error_description", "/message"],
        code: &["/error", "/code", "/error/code"],
        unknown_key: None,
    },
};

/// SQL over HTTP refuses with `{message, code}` or `{error}`, as its driver `@tidbcloud/serverless` 0.3 reads it. It is no
/// [`Service`]: every instance has a host of its own, and a SQL user logs in there and no API key.
pub(crate) const SQL_ERRORS: ErrorShape = ErrorShape {
    message: &["/message", "/error", "/error/message"],
    code: &["/code", "/error/code"],
    unknown_key: None,
};
