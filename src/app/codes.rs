//! The protocol errors of the service's doors, one per row; those of the protocol are in [`mcp::code`](crate::mcp::code).

use crate::mcp::code::{of_http, of_protocol, transport_codes};

transport_codes! {
    QUERY_NOT_ALLOWED = of_protocol(400, -32_600),
        "The URL has a parameter other than `readonly`, `toolsets`, `cluster`, `branch` and `pictures`, has one twice, has `branch` without `cluster`, or has a value that is not allowed; or its query has more than 512 bytes, or a character that must be percent-encoded.",
        "Correct the URL; send credentials as headers, never in a URL.";
    TWO_KINDS_OF_CREDENTIALS = of_protocol(400, -32_600),
        "Key headers and `Authorization` together.",
        "Send one kind.";
    UNATTENDED_NOT_ALLOWED = of_protocol(400, -32_600),
        "`X-MCP-Unattended` beside a token, or with another value than `destroy`.",
        "Leave it out, or send `destroy` beside key headers or the access key.";
    BATCH_TOO_LARGE = of_protocol(400, -32_600),
        "A batch has more messages than the rate limit can ever admit at once, or its calls need more than 45 requests to TiDB Cloud. Nothing ran.",
        "Send fewer.";
    BODY_BROKEN = of_protocol(400, -32_600),
        "The body broke off.",
        "Send it again.";
    UNAUTHENTICATED = of_http(401),
        "Credentials are missing, half a pair or malformed, or of a kind that this deployment does not take; the access key is wrong; or the token is unknown, expired, revoked or for another address. `WWW-Authenticate` leads to the authorization server.",
        "The message says what to send; with OAuth, connect again.";
    INSUFFICIENT_SCOPE = of_http(403),
        "The token does not allow this: `scope` in `WWW-Authenticate` says what it needs. Or it was granted for another cluster, branch or toolset than the URL names. Nothing ran.",
        "Connect again; the consent page then has it ticked, except permission to destroy.";
    ADDRESS_NOT_ALLOWED = of_http(403),
        "`ALLOWED_IPS` does not list the client's address.",
        "Call from one that it lists.";
    HOST_NOT_SERVED = of_http(403),
        "Plain http to a host that is not loopback; not the host of `PUBLIC_ORIGIN`, if that is set; or not loopback while a sandbox is set.",
        "Use the deployment's own address.";
    ORIGIN_NOT_ALLOWED = of_http(403),
        "A browser page of another origin.",
        "Add it to `ALLOWED_ORIGINS`.";
    NO_CLIENT_ADDRESS = of_http(403),
        "Cloudflare did not give the client's address.",
        "Call through Cloudflare.";
    METHOD_NOT_ALLOWED = of_http(405),
        "Not a `POST`.",
        "There are no streams and no sessions.";
    BODY_TIMEOUT = of_http(408),
        "The body took longer than 10 seconds.",
        "Send it again.";
    BODY_TOO_LARGE = of_http(413),
        "The body is longer than 1 MiB.",
        "Split the work.";
    URL_TOO_LONG = of_http(414),
        "The URL is longer than 16 KiB.",
        "Move its content to the body.";
    RATE_LIMITED = of_http(429),
        "More requests from this address or with this credential than the limit allows, too many new or refused API keys, or too many invalid credentials from this address.",
        "Wait for `Retry-After` seconds; `RateLimit` says what is left.";
    STORAGE_UNAVAILABLE = of_http(503),
        "The server's own storage did not answer.",
        "Wait for `Retry-After` seconds.";
}
