//! The pages that anybody may open: they show the address under which they were asked for, and how one gets in here.

use std::fs;

use mcp_server_tidbcloud::app::VERSION;

use crate::{
    support::{Answer, Call, Driver, checkout},
    world::{Native, SANDBOX},
};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn get(target: &str) -> Call {
    Call { method: "GET".to_owned(), target: target.to_owned(), ..Call::default() }.set("Accept", BROWSER)
}

fn text(answer: Answer) -> String {
    String::from_utf8(answer.body).expect("text")
}

/// The page of a server at this origin.
fn at(origin: &str, settings: &[(&str, &str)], target: &str) -> Answer {
    let mut server = Native::with(settings);
    server.origin = origin.to_owned();
    server.send(get(target))
}

const OWNER: [(&str, &str); 4] = [
    ("TIDB_CLOUD_SANDBOX", SANDBOX),
    ("MCP_ACCESS_KEY", "an-access-key-of-forty-characters-00000000"),
    ("TIDB_CLOUD_PUBLIC_KEY", "SBXOWNER"),
    ("TIDB_CLOUD_PRIVATE_KEY", "5b000000-0000-4000-8000-0000000000aa"),
];

#[test]
fn a_page_shows_the_address_of_the_request() {
    for (origin, settings) in [
        ("http://127.0.0.1:8787", &[("TIDB_CLOUD_SANDBOX", SANDBOX)][..]),
        ("http://[::1]:9000", &[]),
        ("https://mcp-server-tidbcloud.account.workers.dev", &[]),
        ("https://mcp.example.com", &[("PUBLIC_ORIGIN", "https://mcp.example.com")]),
    ] {
        for target in ["/", "/index.html", "/mcp", "/?a=%22%3E%3Cscript%3E"] {
            let page = text(at(origin, settings, target));
            assert!(page.contains(&format!("<code>{origin}/mcp</code>")), "{origin}{target} shows its address");
            for left in ["{{", "}}", "&lt;account&gt;", "localhost"] {
                assert!(!page.contains(left), "{origin}{target} has nothing unfilled: {left}");
            }
            assert!(!page.contains("a=%22"), "nothing of the query is on the page");
        }
    }
    let page = text(at("https://mcp.example.com", &[], "/"));
    assert!(page.contains(&format!("Version {VERSION}")));
    // `{"url":"https://mcp.example.com/mcp"}` in base64.
    assert!(page.contains("config=eyJ1cmwiOiJodHRwczovL21jcC5leGFtcGxlLmNvbS9tY3AifQ\""));
    assert!(page.contains("%22url%22%3A%22https://mcp.example.com%2Fmcp%22%7D\""));
}

#[test]
fn no_page_shows_an_address_that_is_not_served() {
    let public = [("PUBLIC_ORIGIN", "https://mcp.example.com")];
    let sandbox = [("TIDB_CLOUD_SANDBOX", SANDBOX)];
    for (origin, settings) in [
        ("https://stranger.example", &public[..]),
        ("http://mcp.example.com", &public),
        ("https://mcp.example.com:8443", &public),
        ("http://stranger.example", &[]),
        ("https://stranger.example", &sandbox),
        // A URL can have such a host, and neither HTML nor a shell should meet it.
        ("https://a\"onload=b.example", &[]),
        ("https://a'$(b)'.example", &[]),
        ("https://a&b;c.example", &[]),
        ("https://{{version}}.example", &[]),
    ] {
        for target in ["/", "/endpoint.html", "/mcp"] {
            let answer = at(origin, settings, target);
            assert!(matches!(answer.status, 403..=405), "{origin}{target}: {}", answer.status);
            let body = text(answer);
            assert!(!body.contains("<html") && !body.contains("example"), "{origin}{target}: {body}");
        }
    }
    // Headers that a proxy in between may add change nothing.
    let mut server = Native::new();
    let call = get("/").set("X-Forwarded-Host", "stranger.example").set("Forwarded", "host=stranger.example");
    assert!(!text(server.send(call)).contains("stranger.example"));
}

#[test]
fn a_page_asks_for_what_the_deployment_takes() {
    let has = |settings: &[(&str, &str)], wanted: [bool; 4]| {
        let page = text(at("http://127.0.0.1:8787", settings, "/"));
        let found = ["X-TiDB-API-Public-Key", "YOUR_ACCESS_KEY", "codex mcp login", "in headers only"]
            .map(|part| page.contains(part));
        assert_eq!(found, wanted, "{settings:?}");
        assert_eq!(
            [page.contains("<details>"), page.contains("<details open>")],
            [wanted[2], !wanted[2]],
            "{settings:?}"
        );
        assert_eq!(page.contains("one owner"), settings.len() >= OWNER.len());
        // Where no grant can be made, no page lists or ends one, and none is sealed.
        for part in ["/grants", "are sealed, and open", "Keys stay sealed", "the sealed keys"] {
            assert_eq!(page.contains(part), wanted[2], "{part}: {settings:?}");
        }
        assert!(page.contains("stored nowhere") && page.contains("id=\"sealed\""), "{settings:?}");
    };
    has(&[("TIDB_CLOUD_SANDBOX", SANDBOX)], [true, false, true, false]);
    has(&OWNER, [false, true, true, false]);
    has(&[&OWNER[..], &[("ALLOWED_CREDENTIALS", "keys,access-key")]].concat(), [true, true, false, true]);
}

#[test]
fn only_the_pages_of_this_origin_s_script_run_one() {
    let mut server = Native::new();
    let policy = |answer: &Answer| answer.header("Content-Security-Policy").unwrap_or_default().to_owned();
    assert_eq!(
        policy(&server.send(get("/"))),
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    for target in ["/health", "/grants", "/style.css", "/nope"] {
        assert!(!policy(&server.send(get(target))).contains("script-src"), "{target} runs none");
    }
    let page = text(server.send(get("/")));
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script src=\"/landing.js\" defer></script>"));
    assert!(!page.contains(" style=") && !page.contains(" onclick"));
}

#[test]
fn a_browser_at_the_endpoint_is_told_what_it_is() {
    let mut server = Native::new();
    for target in ["/mcp", "/mcp/", "/mcp?toolsets=default"] {
        let answer = server.send(get(target));
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("POST, DELETE, OPTIONS")), "{target}");
        assert_eq!(answer.header("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("Vary"), Some("Accept"));
        let page = text(answer);
        assert!(page.contains("This address is for MCP clients") && page.contains("href=\"/\""), "{page}");
    }
    for accept in ["text/event-stream", "application/json, text/event-stream", "*/*", ""] {
        let answer = server.send(Call { method: "GET".to_owned(), ..get("/mcp") }.set("Accept", accept));
        assert_eq!((answer.status, answer.json()["error"]["data"]["code"].as_str()), (405, Some("METHOD_NOT_ALLOWED")));
    }
    let other = server.send(Call { method: "PUT".to_owned(), ..get("/mcp") });
    assert_eq!(other.json()["error"]["data"]["code"], "METHOD_NOT_ALLOWED", "a browser opens a page with GET");
}

#[test]
fn the_landing_page_is_small_and_its_icon_is_an_icon() {
    let read = |name: &str| fs::read(checkout().join("static").join(name)).expect(name);
    let files = ["index.html", "style.css", "landing.css", "landing.js", "favicon.svg", "favicon.ico"];
    let bytes: usize = files.iter().map(|name| read(name).len()).sum();
    assert!(bytes <= 60 << 10, "the landing page has {bytes} bytes in all, 61440 at most");
    // An ICO begins with 0, 1 and the number of its images; each has its size first.
    let icon = read("favicon.ico");
    assert_eq!((&icon[..6], icon[6], icon[22]), (&[0, 0, 1, 0, 2, 0][..], 16, 32));
}
