//! `server.json` and the manifest of the bundle, against facts of their schemas and the rules of the directories that take them.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use url::Url;

use crate::support::checkout;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn file(name: &str) -> Value {
    let text = fs::read_to_string(checkout().join(name)).expect(name);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What a value breaks of a schema.
fn breaks(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).expect("the facts are a schema");
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The names between `open` and `}` in a text.
fn placeholders(text: &str, open: &str) -> BTreeSet<String> {
    text.split(open).skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What the official registry would refuse of a `server.json`, or a client could not follow.
fn refused(server: &Value) -> Vec<String> {
    let facts = file("contract/registry.json");
    let mut problems = breaks(&facts["server"], server);
    let mut unless = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    unless(server["$schema"] == facts["schema"], "$schema: it is not the release whose facts are kept");
    unless(server["version"] == VERSION, "version: it is not the one of Cargo.toml");
    let name = server["name"].as_str().unwrap_or_default();
    let namespace = name.split('/').next().unwrap_or_default();
    unless(name.matches('/').count() == 1 && namespace.contains('.'), "name: it is no reverse DNS name and one slash");

    let mut addresses = BTreeSet::new();
    for remote in server["remotes"].as_array().into_iter().flatten() {
        let address = remote["url"].as_str().unwrap_or_default();
        unless(addresses.insert(address), "remotes: an address stands there twice");
        let used = placeholders(address, "{");
        let declared: BTreeSet<String> =
            remote["variables"].as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
        unless(used == declared, "remotes: the variables of an address are not those that are declared");
        let filled = used.iter().fold(address.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), "name"));
        let is_https = Url::parse(&filled).is_ok_and(|url| url.scheme() == "https" && url.path() == "/mcp");
        unless(is_https, "remotes: an address is not https, or not that of /mcp");
        for header in remote["headers"].as_array().into_iter().flatten() {
            let name = header["name"].as_str().unwrap_or_default().to_ascii_lowercase();
            let is_secret = ["private", "secret", "authorization"].iter().any(|word| name.contains(word));
            unless(!is_secret || header["isSecret"] == true, "headers: a secret is not marked as one");
        }
    }
    for package in server["packages"].as_array().into_iter().flatten().filter(|one| one["registryType"] == "mcpb") {
        let url = package["identifier"].as_str().and_then(|address| Url::parse(address).ok());
        let part = facts["bundleAddressContains"].as_str().expect("a fact");
        let is_taken = url.is_some_and(|url| {
            url.scheme() == "https"
                && texts(&facts["bundleHosts"]).contains(&url.host_str().unwrap_or_default())
                && url.path().contains("/releases/download/")
                && url.as_str().contains(part)
        });
        unless(is_taken, "packages: the registry takes no bundle from there");
        unless(package["fileSha256"].is_string(), "packages: a bundle needs its hash");
    }
    problems
}

#[test]
fn server_json_is_what_the_registry_takes() {
    let server = file("server.json");
    assert_eq!(refused(&server), Vec::<String>::new());
    assert!(
        server["name"].as_str().is_some_and(|name| name.starts_with("io.github.OWNER/")),
        "a release says whose it is"
    );
    assert!(server.get("packages").is_none(), "a release adds the bundle, whose hash it knows");
    assert!(server["remotes"].as_array().is_some_and(|remotes| !remotes.is_empty()));

    let mut released = server;
    released["repository"] = json!({ "url": "https://github.com/a/b", "source": "github" });
    released["packages"] = json!([{
        "registryType": "mcpb",
        "identifier": format!("https://github.com/a/b/releases/download/v{VERSION}/mcp-server-tidbcloud-{VERSION}.mcpb"),
        "fileSha256": "0".repeat(64),
        "transport": { "type": "stdio" },
    }]);
    assert_eq!(refused(&released), Vec::<String>::new(), "the form that a release gives it");
}

#[test]
fn what_the_registry_would_refuse_is_found() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 14] = [
        ("description", |server| server["description"] = json!("a".repeat(101))),
        ("name", |server| server["name"] = json!("mcp-server-tidbcloud")),
        ("name", |server| server["name"] = json!("io.github.a/b/c")),
        ("version", |server| server["version"] = json!("^0.1.0")),
        ("title", |server| server["title"] = json!("")),
        ("$schema", |server| server["$schema"] = json!("https://example.com/server.schema.json")),
        ("websiteURL", |server| server["websiteURL"] = json!("https://example.com")),
        ("remotes", |server| server["remotes"][0]["url"] = json!("http://name.example.com/mcp")),
        ("variables", |server| server["remotes"][0]["url"] = json!("https://a.{acount}.workers.dev/mcp")),
        ("variables", |server| server["remotes"][0]["url"] = json!("https://name.example.com/mcp")),
        ("twice", |server| server["remotes"][0] = server["remotes"][1].clone()),
        ("secret", |server| server["remotes"][0]["headers"][1]["isSecret"] = json!(false)),
        ("type", |server| server["remotes"][0]["type"] = json!("http")),
        ("hash", |server| {
            server["packages"] = json!([{
                "registryType": "mcpb",
                "identifier": "https://github.com/a/b/releases/download/v1/b.mcpb",
                "transport": { "type": "stdio" },
            }]);
        }),
    ];
    for (word, change) in changes {
        let mut server = file("server.json");
        change(&mut server);
        let problems = refused(&server).join("\n");
        assert!(problems.contains(word), "nobody complains about {word}: {problems:?}");
    }
}

/// What a host could not do with a manifest.
fn unusable(manifest: &Value) -> Vec<String> {
    let mut problems = breaks(&file("contract/mcpb.json")["manifest"], manifest);
    let mut unless = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    unless(manifest["version"] == VERSION, "version: it is not the one of Cargo.toml");
    let config = &manifest["server"]["mcp_config"];
    let used: BTreeSet<String> = config["env"]
        .as_object()
        .into_iter()
        .flat_map(|env| env.values())
        .flat_map(|value| placeholders(value.as_str().unwrap_or_default(), "${user_config."))
        .collect();
    let declared: BTreeSet<String> =
        manifest["user_config"].as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
    unless(used == declared, "user_config: what is asked is not what is handed on");
    unless(!config["args"].to_string().contains("user_config"), "args: other programs see the arguments of a program");
    for (name, field) in manifest["user_config"].as_object().into_iter().flatten() {
        unless(!name.ends_with("key") || field["sensitive"] == true, "user_config: a key is not marked as sensitive");
    }
    let entry = manifest["server"]["entry_point"].as_str().unwrap_or_default();
    unless(
        texts(&config["args"]) == [format!("${{__dirname}}/{entry}")],
        "args: another file is run than the entry point",
    );
    unless(checkout().join("bundle").join(entry).is_file(), "entry_point: there is no such file");
    problems
}

#[test]
fn the_manifest_is_what_a_host_takes() {
    let manifest = file("bundle/manifest.json");
    assert_eq!(unusable(&manifest), Vec::<String>::new());
    let icon = fs::read(checkout().join("bundle").join(manifest["icon"].as_str().expect("an icon"))).expect("the icon");
    let side = file("contract/mcpb.json")["iconSide"].as_u64().expect("a fact");
    let field = |at: usize| u64::from(u32::from_be_bytes(icon[at..at + 4].try_into().expect("four bytes")));
    assert_eq!(&icon[..8], b"\x89PNG\r\n\x1a\n", "Claude Desktop takes PNG");
    assert_eq!((field(16), field(20)), (side, side), "width and height of the header (PNG, section 11.2.1)");
}

#[test]
fn what_a_host_could_not_use_is_found() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 8] = [
        ("version", |manifest| manifest["version"] = json!("9.9.9")),
        ("manifest_version", |manifest| manifest["manifest_version"] = json!("1.0")),
        ("author", |manifest| manifest["author"] = json!({})),
        ("sensitive", |manifest| manifest["user_config"]["private_key"]["sensitive"] = json!(false)),
        ("user_config", |manifest| manifest["server"]["mcp_config"]["env"]["X"] = json!("${user_config.other}")),
        ("entry_point", |manifest| manifest["server"]["entry_point"] = json!("server/other.mjs")),
        ("args", |manifest| manifest["server"]["mcp_config"]["args"] = json!(["${user_config.private_key}"])),
        ("privacy_policy", |manifest| manifest["privacy_policy"] = json!("https://example.com")),
    ];
    for (word, change) in changes {
        let mut manifest = file("bundle/manifest.json");
        change(&mut manifest);
        let problems = unusable(&manifest).join("\n");
        assert!(problems.contains(word), "nobody complains about {word}: {problems:?}");
    }
}
