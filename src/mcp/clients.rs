//! The names that clients give themselves, as a few words that can be counted: whatever else a client says of itself stays out of them.

/// A client that does not say what it is.
pub const NONE: &str = "none";
/// A client that is not in the table.
pub const OTHER: &str = "other";

/// A word for each client, and how its `clientInfo.name` or the product of its `User-Agent` begins, in lower case. `$` ends a name that
/// must not go on.
///
/// Names are those that servers have seen (<https://github.com/apify/mcp-client-capabilities>, <https://github.com/TianqiZhang/mcp-client-registry>);
/// the SDKs are in it by the name that a program gets from them if it gives none.
const CLIENTS: &[(&str, &[&str])] = &[
    ("claude", &["claude-ai", "claude-user", "claude desktop", "claude$"]),
    ("claude-code", &["claude-code"]),
    ("chatgpt", &["openai-mcp", "chatgpt"]),
    ("codex", &["codex"]),
    ("cursor", &["cursor"]),
    ("vscode", &["visual studio code", "visual-studio-code", "vscode"]),
    ("copilot", &["github-copilot", "copilot"]),
    ("visual-studio", &["visual studio$", "visual-studio$"]),
    ("xcode", &["xcode"]),
    ("jetbrains", &["jetbrains"]),
    ("gemini-cli", &["gemini-cli"]),
    ("antigravity", &["antigravity"]),
    ("windsurf", &["windsurf"]),
    ("zed", &["zed$"]),
    ("cline", &["cline$"]),
    ("roo-code", &["roo-code", "roo code"]),
    ("kilo-code", &["kilo-code", "kilo code"]),
    ("continue", &["continue"]),
    ("goose", &["goose"]),
    ("opencode", &["opencode"]),
    ("crush", &["crush$"]),
    ("amp", &["amp-mcp-client"]),
    ("amazon-q", &["q-dev-cli", "amazon-q"]),
    ("factory", &["factory-cli"]),
    ("warp", &["warp"]),
    ("lm-studio", &["lm-studio", "lm studio", "lmstudio"]),
    ("jan", &["jan-streamable-client"]),
    ("librechat", &["@librechat/", "librechat"]),
    ("cherry-studio", &["cherry studio", "cherry-studio"]),
    ("le-chat", &["mistral"]),
    ("raycast", &["com.raycast."]),
    ("postman", &["postman"]),
    ("n8n", &["@n8n/", "n8n"]),
    ("inspector", &["inspector-client", "mcp-inspector"]),
    ("mcp-remote", &["mcp-remote"]),
    ("python-sdk", &["mcp$"]),
    ("rust-sdk", &["rmcp"]),
];

/// The word of a client, by the name it gives itself, and without one by its `User-Agent`: revisions with `initialize` have the name
/// there only.
pub fn word(name: Option<&str>, user_agent: Option<&str>) -> &'static str {
    match (name, user_agent) {
        // A bridge says for whom it works: `claude-ai (via mcp-remote 0.1.37)`.
        (Some(name), _) => find(name.split(" (via ").next().unwrap_or_default()).unwrap_or(OTHER),
        // `product/version`, RFC 9110 section 10.1.5. Browsers and HTTP libraries are no clients that are known.
        (None, Some(agent)) => find(agent.split('/').next().unwrap_or_default()).unwrap_or(NONE),
        (None, None) => NONE,
    }
}

fn find(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase();
    let is_called =
        |known: &&str| known.strip_suffix('$').map_or_else(|| name.starts_with(known), |whole| name == whole);
    CLIENTS.iter().find(|(_, names)| names.iter().any(is_called)).map(|(word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_the_names_that_they_send() {
        for (name, known) in [
            ("claude-ai", "claude"),
            ("claude-ai (via mcp-remote 0.1.37)", "claude"),
            ("claude-code", "claude-code"),
            ("cursor-vscode", "cursor"),
            ("Cursor", "cursor"),
            ("Visual Studio Code", "vscode"),
            ("Visual-Studio-Code", "vscode"),
            ("openai-mcp", "chatgpt"),
            ("codex-mcp-client", "codex"),
            ("gemini-cli-mcp-client", "gemini-cli"),
            ("windsurf-client", "windsurf"),
            ("Zed", "zed"),
            ("goose", "goose"),
            ("Cline", "cline"),
            ("JetBrains-IU-copilot-intellij", "jetbrains"),
            ("inspector-client", "inspector"),
            ("mcp-inspector", "inspector"),
            ("mcp-remote-fallback-test", "mcp-remote"),
            ("mcp", "python-sdk"),
            ("zedd", OTHER),
            ("canary-name", OTHER),
            ("", OTHER),
        ] {
            assert_eq!(word(Some(name), Some("claude-code/2.0")), known, "the word for {name:?}");
        }
        assert_eq!(word(None, Some("claude-code/2.0.14 (cli)")), "claude-code");
        assert_eq!(word(None, Some("Claude-User")), "claude");
        assert_eq!(word(None, Some("Mozilla/5.0 (canary)")), NONE, "a browser says nothing of the client in it");
        assert_eq!(word(None, None), NONE);
    }

    #[test]
    fn each_name_belongs_to_one_client() {
        let names = CLIENTS.iter().flat_map(|(word, names)| names.iter().map(move |name| (*word, *name)));
        for (known, name) in names {
            assert_eq!(find(name.trim_end_matches('$')), Some(known), "{name} is found where it stands");
            assert_eq!(name.to_ascii_lowercase(), name, "names are compared in lower case");
        }
        for (at, (known, _)) in CLIENTS.iter().enumerate() {
            assert!(CLIENTS.iter().skip(at + 1).all(|(other, _)| other != known), "{known} stands there once");
            assert!(![NONE, OTHER].contains(known));
        }
    }
}
