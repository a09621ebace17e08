//! Routes that the static assets serve, with the headers that every answer has.

use crate::{
    support::Call,
    worker::{Worker, send},
};

fn get(target: &str) -> crate::support::Answer {
    send(&Worker::shared(), Call { method: "GET".to_owned(), target: target.to_owned(), ..Call::default() })
}

#[test]
fn the_landing_page_comes_through_the_worker() {
    for (path, kind) in [
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/favicon.ico", "image/"),
        ("/favicon.svg", "image/svg+xml"),
        ("/landing.css", "text/css"),
        ("/landing.js", "text/javascript"),
        ("/robots.txt", "text/plain"),
        ("/llms.txt", "text/plain"),
    ] {
        let answer = get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").is_some_and(|found| found.starts_with(kind)), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
        assert!(answer.header("x-request-id").is_some(), "{path}");
        assert!(!answer.body.is_empty(), "{path}");
    }
}

#[test]
fn other_paths_are_404_and_health_is_well() {
    for path in ["/nope", "/mcp//", "//mcp", "/index", "/..%2fsecret"] {
        let answer = get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error"], "not_found", "{path}");
    }
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(get(path).status, 200, "{path}");
    }
    for path in ["/mcp", "/mcp/"] {
        assert_eq!(get(path).status, 405, "{path}");
    }
}
