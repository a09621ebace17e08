//! `/health` in a browser: what works, what does not, and what to do about it. Every word is a constant, so that nothing has to be escaped.

use super::{Document, VERSION};
use crate::health::State;

/// What is said of a check that works, of one that fails, and what to do then.
struct Words {
    title: &'static str,
    works: &'static str,
    fails: &'static str,
    advice: &'static str,
}

/// The words of the check of this name.
fn words(check: &str) -> Words {
    match check {
        "settings" => Words {
            title: "Settings",
            works: "The variables and secrets of this deployment fit together.",
            fails: "These settings are wrong or missing:",
            advice: "Nothing is served until they are right. Secrets: in the Cloudflare dashboard, Workers &amp; Pages, this Worker, \
                     Settings, Variables and Secrets, add or edit them all, then Deploy once; or with wrangler in a checkout. Variables: \
                     in <code>wrangler.toml</code>, then <code>npx wrangler deploy</code>.",
        },
        "limiter" => Words {
            title: "Limits",
            works: "Requests are counted for all instances of the server together.",
            fails: "Requests cannot be counted for all instances of the server together.",
            advice: "Each instance counts alone meanwhile and lets fewer requests through, and pages that take keys are closed. This \
                     mostly passes within a minute. If it stays, see whether the last deployment has its Durable Objects, and <a \
                     href=\"https://www.cloudflarestatus.com/\">Cloudflare’s status page</a>.",
        },
        "grants" => Words {
            title: "Connections",
            works: "The connections that people have allowed can be looked up.",
            fails: "The connections that people have allowed cannot be looked up.",
            advice: "Clients with a token are told to try again, and nobody has to connect again. This mostly passes within a \
                     minute. If it stays, see whether the last deployment has its Durable Objects, and <a \
                     href=\"https://www.cloudflarestatus.com/\">Cloudflare’s status page</a>.",
        },
        "circuits" => Words {
            title: "Circuit breakers",
            works: "No calls are held back for all callers.",
            fails: "TiDB Cloud failed for several callers, so calls are held back. Every half minute or so one is let through.",
            advice: "Nothing has to be done here: once TiDB Cloud answers that one, all go on. See <a \
                     href=\"https://status.tidbcloud.com/\">TiDB Cloud’s status page</a>.",
        },
        _ => Words {
            title: "TiDB Cloud",
            works: "TiDB Cloud answers.",
            fails: "TiDB Cloud did not answer within 3 seconds, or not as it does when it works.",
            advice: "Calls fail, or take long. Nothing has to be done here: see <a \
                     href=\"https://status.tidbcloud.com/\">TiDB Cloud’s status page</a>. The log of this server says how TiDB \
                     Cloud answered, in lines with <code>not_ready</code>.",
        },
    }
}

/// The owner's secrets.
const OWNERS: [&str; 3] = ["TIDB_CLOUD_PUBLIC_KEY", "TIDB_CLOUD_PRIVATE_KEY", "MCP_ACCESS_KEY"];
/// How to set the owner's secrets at once: with one or two of them the server answers 503.
const BULK: &str = "<div class=\"statements\"><pre>openssl rand -base64 32     # makes an access key
cat &gt;secrets.json &lt;&lt;END
{\"TIDB_CLOUD_PUBLIC_KEY\": \"…\",
 \"TIDB_CLOUD_PRIVATE_KEY\": \"…\",
 \"MCP_ACCESS_KEY\": \"…\"}
END
npx wrangler secret bulk secrets.json
rm secrets.json</pre></div>";

/// A state in a word that needs no colour.
fn word(state: State) -> &'static str {
    match state {
        State::Ok => "Works",
        State::Failing => "Fails",
        State::Unknown => "Not known",
    }
}

impl Document<'_> {
    /// The page.
    pub(super) fn page(&self) -> String {
        let (title, lead) = if self.checks.are_ok() {
            ("Everything works", "This server is ready to take calls.")
        } else if !self.settings.is_empty() {
            ("Settings are wrong", "This server answers nothing else until they are corrected.")
        } else {
            ("Not everything works", "Calls may fail. What is wrong is below, with what to do about it.")
        };
        let mut html = String::with_capacity(6 << 10);
        let mut add = |parts: &[&str]| parts.iter().for_each(|part| html.push_str(part));
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
            if state == State::Unknown && !self.settings.is_empty() {
                // Nothing else is asked while a setting is wrong.
                continue;
            }
            let Words { title, works, fails, advice } = words(name);
            let class = if state == State::Ok { "" } else { " class=\"warning\"" };
            add(&["<section", class, "><h2>", title, " <span class=\"state\">", word(state), "</span></h2><p>"]);
            match state {
                State::Ok => {
                    add(&[works, "</p>"]);
                    match self.owned {
                        Some(false) if name == "settings" => add(&[
                            "<p>It is set up for several people: everybody brings keys of TiDB Cloud, and nothing has to be set.</p>",
                            "<details><summary>Make it yours alone</summary><p>Set three secrets at once:</p>",
                            BULK,
                            "</details>",
                        ]),
                        Some(true) if name == "settings" => add(&[
                            "<p>It is set up for its owner: <code>TIDB_CLOUD_PUBLIC_KEY</code>, <code>TIDB_CLOUD_PRIVATE_KEY</code> and ",
                            "<code>MCP_ACCESS_KEY</code> are set. <code>tidbcloud_doctor</code> tells the holder of ",
                            "the access key what else may be missing.</p>",
                        ]),
                        _ => {}
                    }
                }
                State::Failing => {
                    add(&[fails, "</p>"]);
                    if name == "settings" {
                        add(&["<ul>"]);
                        self.problems
                            .iter()
                            .for_each(|wrong| add(&["<li><code>", wrong.setting, "</code> ", wrong.rule, "</li>"]));
                        add(&["</ul>"]);
                    }
                    add(&["<p>", advice, "</p>"]);
                    if self.problems.iter().any(|wrong| OWNERS.contains(&wrong.setting)) {
                        add(&[BULK]);
                    }
                }
                State::Unknown => add(&["Nobody could find out. Load this page again in 15 seconds.</p>"]),
            }
            add(&["</section>"]);
        }
        add(&[
            "<p class=\"hint\">This is less than a minute old. Monitors read the same at <a href=\"/readyz\">/readyz</a>. Version ",
            VERSION,
            ".</p></main></body></html>",
        ]);
        html
    }
}
