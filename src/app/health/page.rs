//! `/health` in a browser: what works, what does not, and what to do about it. Every word is a constant, so that nothing has to be escaped.

use super::Document;
use crate::health::State;

/// What a check is about, and what to do when it fails.
struct Words {
    title: &'static str,
    about: &'static str,
    advice: &'static str,
}

/// The words of the check of this name.
fn words(check: &str) -> Words {
    match check {
        "settings" => Words {
            title: "Settings",
            about: "The variables and secrets of this deployment are complete and fit together.",
            advice: "Correct the settings that are named here and deploy again. Every other address of this server says what each of \
                     them must be. Until then nothing else is answered.",
        },
        "limiter" => Words {
            title: "Limits",
            about: "Requests are counted, for each client and for all instances of the server together.",
            advice: "Each instance counts alone meanwhile and lets fewer requests through, and pages that take keys are closed. This \
                     mostly passes within a minute. If it stays, look whether the last deployment had all its Durable Objects, and \
                     at <a href=\"https://www.cloudflarestatus.com/\">Cloudflare’s status page</a>.",
        },
        "grants" => Words {
            title: "Connections",
            about: "The connections that people have allowed can be looked up.",
            advice: "Clients with a token are told to try again, and keep it. Nobody has to connect again. This mostly passes within \
                     a minute. If it stays, look whether the last deployment had all its Durable Objects, and at <a \
                     href=\"https://www.cloudflarestatus.com/\">Cloudflare’s status page</a>.",
        },
        "circuits" => Words {
            title: "Circuit breakers",
            about: "TiDB Cloud has not failed for several callers lately.",
            advice: "TiDB Cloud failed for several callers, so calls are refused for up to 36 seconds at a time. Then one of them is \
                     let through to find out. Nothing has to be done here: see <a \
                     href=\"https://status.tidbcloud.com/\">TiDB Cloud’s status page</a>.",
        },
        _ => Words {
            title: "TiDB Cloud",
            about: "TiDB Cloud answers a request without a key as it should, within 3 seconds.",
            advice: "Calls fail, or take long. Nothing has to be done here: see <a \
                     href=\"https://status.tidbcloud.com/\">TiDB Cloud’s status page</a>. The log of this server says how TiDB \
                     Cloud answered, in lines with <code>not_ready</code>.",
        },
    }
}

/// A state in a word that needs no colour.
fn word(state: State) -> &'static str {
    match state {
        State::Ok => "Works",
        State::Failing => "Fails",
        State::Unknown => "Not known",
    }
}

impl Document {
    /// The page.
    pub(super) fn page(&self) -> String {
        let (title, lead) = if self.checks.are_ok() {
            ("Everything works", "This server is ready to take calls.")
        } else {
            ("Not everything works", "Calls may fail. What is wrong stands below, and what to do about it.")
        };
        let mut html = String::with_capacity(6 << 10);
        let mut add = |parts: &[&'static str]| parts.iter().for_each(|part| html.push_str(part));
        add(&[
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
            "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"robots\" content=\"noindex\"><title>",
            title,
            "</title><link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">",
            "<link rel=\"stylesheet\" href=\"/style.css\"><link rel=\"stylesheet\" href=\"/pages.css\"></head>",
            "<body class=\"page\"><header><img src=\"/favicon.svg\" alt=\"\" width=\"28\" height=\"28\">",
            "TiDB Cloud MCP Server</header><main><h1>",
            title,
            "</h1><p>",
            lead,
            "</p>",
        ]);
        for (name, state) in self.checks.each() {
            let Words { title, about, advice } = words(name);
            let class = if state == State::Ok { "" } else { " class=\"warning\"" };
            add(&[
                "<section",
                class,
                "><h2>",
                title,
                " <span class=\"state\">",
                word(state),
                "</span></h2><p>",
                about,
                "</p>",
            ]);
            if name == "settings" && !self.settings.is_empty() {
                add(&["<ul>"]);
                self.settings.iter().for_each(|named| add(&["<li><code>", named.setting, "</code></li>"]));
                add(&["</ul>"]);
            }
            match state {
                State::Ok => {}
                State::Failing => add(&["<p>", advice, "</p>"]),
                State::Unknown if self.settings.is_empty() => {
                    add(&["<p>Nobody could find out. Load this page again in 15 seconds.</p>"]);
                }
                State::Unknown => add(&["<p>This is not asked while a setting is wrong.</p>"]),
            }
            add(&["</section>"]);
        }
        add(&[
            "<p class=\"hint\">This is at most half a minute old. Monitors read the same at <a href=\"/readyz\">/readyz</a>.</p>",
            "</main></body></html>",
        ]);
        html
    }
}
