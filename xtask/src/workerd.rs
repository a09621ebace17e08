//! workerd's own configuration of the Worker, made from `wrangler.toml`, so that bindings are listed in one place. workerd by itself
//! starts within a second and answers without a hop; `wrangler dev` puts a Node program and two more Workers around it.
//!
//! <https://github.com/cloudflare/workerd/blob/main/src/workerd/server/workerd.capnp>

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

/// What `wrangler.toml` may say. Any other key is an error: the Worker would run without what it asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrangler {
    name: String,
    main: String,
    compatibility_date: String,
    #[serde(default)]
    compatibility_flags: Vec<String>,
    assets: Assets,
    durable_objects: DurableObjects,
    migrations: Vec<Migration>,
    version_metadata: Option<VersionMetadata>,
    #[serde(default)]
    vars: BTreeMap<String, Value>,
    // The rest is for a deployment, or for wrangler itself.
    #[serde(default, rename = "workers_dev")]
    _workers_dev: Option<IgnoredAny>,
    #[serde(default, rename = "preview_urls")]
    _preview_urls: Option<IgnoredAny>,
    #[serde(default, rename = "build")]
    _build: Option<IgnoredAny>,
    #[serde(default, rename = "triggers")]
    _triggers: Option<IgnoredAny>,
    #[serde(default, rename = "observability")]
    _observability: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assets {
    directory: String,
    binding: String,
    /// workerd has nothing that answers before the Worker.
    run_worker_first: bool,
    /// workerd's own service for files knows no other way.
    html_handling: HtmlHandling,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum HtmlHandling {
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DurableObjects {
    bindings: Vec<Bound>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    name: String,
    class_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionMetadata {
    binding: String,
}

/// What the version of a Worker that was never uploaded is called: miniflare makes up another one at each start.
/// <https://developers.cloudflare.com/workers/runtime-apis/bindings/version-metadata/>
const VERSION: &str =
    r#"{"id":"00000000-0000-4000-8000-000000000000","tag":"","timestamp":"2026-01-01T00:00:00.000Z"}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Migration {
    #[serde(rename = "tag")]
    _tag: IgnoredAny,
    new_sqlite_classes: Vec<String>,
}

/// The name that the configuration has in its file.
pub(crate) const NAME: &str = "ours";

/// The Worker of this `wrangler.toml`, whose paths are below the directory that workerd imports from, and whose Durable Objects are
/// kept in the service `storage`. `modules` are the names of the build's files, and `given` the variables for this run: a text is
/// bound as a text, everything else as JSON, as wrangler does it.
pub(crate) fn configuration(
    wrangler: &str,
    modules: &[String],
    root: &Path,
    given: &[(String, Value)],
) -> Result<String, String> {
    let wrangler: Wrangler = toml_edit::de::from_str(wrangler).map_err(|error| {
        format!("wrangler.toml: {error}\nWhat a test's Worker has is made from it in xtask/src/workerd.rs, which has to learn this")
    })?;
    let HtmlHandling::None = wrangler.assets.html_handling;
    if !wrangler.assets.run_worker_first {
        return Err(
            "wrangler.toml: files would be served without the Worker, which workerd by itself cannot do".to_owned()
        );
    }
    let (folder, entry) = wrangler.main.rsplit_once('/').ok_or("wrangler.toml: main is in no folder")?;
    let mut vars = wrangler.vars;
    vars.extend(given.iter().cloned());
    let static_files = root.join(&wrangler.assets.directory);

    let mut bindings = vec![format!("(name = {}, service = \"files\")", text(&wrangler.assets.binding))];
    for bound in &wrangler.durable_objects.bindings {
        let (name, class) = (text(&bound.name), text(&bound.class_name));
        bindings.push(format!("(name = {name}, durableObjectNamespace = {class})"));
    }
    if let Some(VersionMetadata { binding }) = &wrangler.version_metadata {
        bindings.push(format!("(name = {}, json = {})", text(binding), text(VERSION)));
    }
    for (name, value) in &vars {
        let (kind, value) = match value {
            Value::String(value) => ("text", value.clone()),
            value => ("json", value.to_string()),
        };
        bindings.push(format!("(name = {}, {kind} = {})", text(name), text(&value)));
    }
    let classes = wrangler.migrations.iter().flat_map(|migration| &migration.new_sqlite_classes).map(|class| {
        let key = text(&format!("{}-{class}", wrangler.name));
        format!("(className = {}, uniqueKey = {key}, enableSql = true)", text(class))
    });
    // workerd starts the first one.
    let mut modules: Vec<&String> = modules.iter().collect();
    modules.sort_by_key(|module| (*module != entry, module.as_str()));
    let modules = modules.into_iter().map(|module| {
        let kind = if module.ends_with(".wasm") { "wasm" } else { "esModule" };
        format!("(name = {}, {kind} = embed {})", text(module), text(&format!("/{folder}/{module}")))
    });
    let flags = wrangler.compatibility_flags.iter().map(|flag| text(flag));
    Ok(format!(
        r#"using Workerd = import "/workerd/workerd.capnp";

const {NAME} :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "files", disk = (path = {static_files})),
    (name = "storage", disk = (writable = true)),
    (name = "internet", network = (allow = ["public", "local"])),
  ],
  sockets = [(name = "http", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [{modules}],
  compatibilityDate = {date},
  compatibilityFlags = [{flags}],
  bindings = [{bindings}],
  durableObjectNamespaces = [{classes}],
  durableObjectStorage = (localDisk = "storage"),
);
"#,
        static_files = text(&static_files.to_string_lossy()),
        date = text(&wrangler.compatibility_date),
        modules = list(modules),
        flags = list(flags),
        bindings = list(bindings),
        classes = list(classes),
    ))
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().map(|item| format!("\n    {item},")).chain(["\n  ".to_owned()]).collect()
}

/// A text literal of Cap'n Proto. <https://capnproto.org/language.html>
fn text(value: &str) -> String {
    let mut literal = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            '\0'..'\x20' | '\x7f' => {
                let _ = write!(literal, "\\x{:02x}", u32::from(character));
            }
            _ => literal.push(character),
        }
    }
    literal.push('"');
    literal
}

/// Variables as lines of a `[vars]` table.
pub(crate) fn vars(lines: &str) -> Result<Vec<(String, Value)>, String> {
    let table: BTreeMap<String, Value> = toml_edit::de::from_str(lines).map_err(|error| format!("--vars: {error}"))?;
    Ok(table.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use serde_json::json;

    use super::*;

    fn own() -> String {
        let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo"));
        fs::read_to_string(package.join("../wrangler.toml")).expect("wrangler.toml")
    }

    fn made(wrangler: &str, given: &[(String, Value)]) -> Result<String, String> {
        let modules = ["a.wasm", "index.js", "b.js"].map(str::to_owned);
        configuration(wrangler, &modules, Path::new("/checkout"), given)
    }

    #[test]
    fn everything_that_wrangler_binds_is_bound() {
        let own = own();
        let own = if own.contains("[version_metadata]") {
            own
        } else {
            format!("{own}\n[version_metadata]\nbinding = \"VERSION\"\n")
        };
        let made = made(&own, &[]).expect("a configuration");
        let table: Value = toml_edit::de::from_str(&own).expect("TOML");
        let mut names = vec![table["assets"]["binding"].clone(), table["version_metadata"]["binding"].clone()];
        names.extend(
            table["durable_objects"]["bindings"].as_array().expect("a list").iter().map(|one| one["name"].clone()),
        );
        for name in &names {
            assert!(made.contains(&format!("(name = {name}, ")), "{name} is not bound in\n{made}");
        }
        for bound in table["durable_objects"]["bindings"].as_array().expect("a list") {
            let class = format!("(className = {}, ", bound["class_name"]);
            assert!(made.contains(&class), "no storage for {class}\n{made}");
        }
        assert!(made.contains(&format!("compatibilityDate = {}", table["compatibility_date"])), "{made}");
        for flag in table["compatibility_flags"].as_array().expect("a list") {
            assert!(made.contains(&format!("\n    {flag},")), "{flag} is missing in\n{made}");
        }
        assert!(made.contains("path = \"/checkout/static\""), "{made}");
    }

    #[test]
    fn variables_are_texts_or_json_and_one_for_this_run_takes_the_place_of_the_files() {
        let given =
            vars("TEXT = 'a\"b\\c\\n'\nNUMBER = 7\nTABLE = { a = \"b\" }\nON = true\nLIMIT = 2").expect("a table");
        let made = made(&format!("{}\n[vars]\nLIMIT = 1\nKEPT = \"kept\"\n", own()), &given).expect("a configuration");
        for line in [
            r#"(name = "TEXT", text = "a\"b\\c\\n")"#,
            r#"(name = "NUMBER", json = "7")"#,
            r#"(name = "TABLE", json = "{\"a\":\"b\"}")"#,
            r#"(name = "ON", json = "true")"#,
            r#"(name = "LIMIT", json = "2")"#,
            r#"(name = "KEPT", text = "kept")"#,
        ] {
            assert!(made.contains(line), "{line} is missing in\n{made}");
        }
        assert!(!made.contains("json = \"1\""), "a name is bound once");
        assert_eq!(vars("A = \"x\"").expect("a table"), [("A".to_owned(), json!("x"))]);
        assert_eq!(text("line\nend\u{7f}é"), "\"line\\x0aend\\x7fé\"");
    }

    #[test]
    fn the_entry_is_the_first_module() {
        let made = made(&own(), &[]).expect("a configuration");
        let at = |name: &str| made.find(&format!("(name = \"{name}\", ")).expect("a module");
        assert!(at("index.js") < at("a.wasm") && at("a.wasm") < at("b.js"), "{made}");
        assert!(
            made.contains(r#"wasm = embed "/build/a.wasm""#) && made.contains(r#"esModule = embed "/build/index.js""#)
        );
    }

    #[test]
    fn what_would_be_left_out_is_refused() {
        let own = own();
        for added in
            ["[[kv_namespaces]]\nbinding = \"KV\"\nid = \"1\"", "[[analytics_engine_datasets]]\nbinding = \"A\""]
        {
            let error = made(&format!("{own}\n{added}\n"), &[]).expect_err("a binding that is not made");
            assert!(error.contains("unknown field") && error.contains("xtask/src/workerd.rs"), "{error}");
        }
        for (line, instead) in [
            ("html_handling = \"none\"", "html_handling = \"auto-trailing-slash\""),
            ("run_worker_first = true", "run_worker_first = false"),
            ("new_sqlite_classes = [\"Watcher\"]", "new_classes = [\"Watcher\"]"),
        ] {
            assert!(own.contains(line), "{line}");
            assert!(made(&own.replace(line, instead), &[]).is_err(), "{instead}");
        }
    }
}
