//! The pages among the static files are templates: each shows the address under which it was asked for, and how one connects to this
//! deployment.

use super::{VERSION, doors, health::prefers_html};
use crate::{
    base::http::{Head, Method, Response},
    config::Config,
    oauth,
    store::seal::base64url,
};

/// The landing page has one script, of this server, which asks this server how it is.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The file of a path.
pub(super) fn file(path: &str) -> &str {
    if path == "/" { "/index.html" } else { path }
}

/// Whether a browser opened the address of the endpoint, which a person should not be told in JSON.
pub(super) fn is_for_person(head: &Head, config: &Config, refusal: &Response) -> bool {
    refusal.status == 405
        && matches!(head.method, Method::Get | Method::Head)
        && doors::host::is_served(head, config)
        && prefers_html(&head.headers)
}

/// A file as this request gets it. `None` if the address could not stand in a page and in a command line as it is: no real host has
/// such a name, although a URL can (URL, section 3.2).
pub(super) fn fill(mut file: Response, head: &Head, config: &Config) -> Option<Response> {
    if !file.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
        return Some(file);
    }
    let origin = oauth::origin(head, config);
    let origin = origin.as_str();
    if !origin.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/[]".contains(&byte)) {
        return None;
    }
    let repository = option_env!("CARGO_PKG_REPOSITORY").unwrap_or_default();
    let allowed = &config.allowed;
    let mut page = String::from_utf8(file.body).ok()?;
    for (part, stays) in [
        ("oauth", allowed.oauth),
        ("headers-only", !allowed.oauth),
        ("keys", allowed.keys),
        ("access-key", allowed.access_key),
        ("owner", config.owner.is_some()),
        ("no-owner", config.owner.is_none()),
        ("sandbox", config.hosts.is_sandbox() && config.owner.is_none()),
        ("source", !repository.is_empty()),
    ] {
        if !stays {
            page = without(&page, &["<!--", part, "-->"].concat(), &["<!--/", part, "-->"].concat());
        }
    }
    let cursor = base64url(["{\"url\":\"", origin, "/mcp\"}"].concat().as_bytes());
    for (name, value) in [
        ("{{origin}}", origin),
        ("{{cursor}}", &cursor),
        ("{{version}}", VERSION),
        ("{{repository}}", repository),
        // What is the only way is not folded away.
        ("{{open}}", if allowed.oauth { "" } else { " open" }),
    ] {
        page = page.replace(name, value);
    }
    file.body = page.into_bytes();
    file.headers.set("content-security-policy", POLICY);
    // A change of the settings shows at once.
    file.headers.set("cache-control", "no-cache");
    Some(file)
}

/// A text without what stands from each `open` to the next `close`.
fn without(text: &str, open: &str, close: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        kept.push_str(before);
        rest = after.split_once(close).map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}
