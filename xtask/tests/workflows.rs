//! House rules of `.github/workflows` that actionlint does not know.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use yaml_rust2::{Yaml, YamlLoader};

/// What a step may run beside `cargo xtask`: it installs the Rust of rust-toolchain.toml, or lets a run end.
const OTHER_COMMANDS: [&str; 2] = ["rustup toolchain install", "echo closed"];

/// What may follow `cargo xtask` beside fixed words: variables that the runner sets, in quotes.
const VARIABLES: [&str; 3] = ["\"$GITHUB_SHA\"", "\"$GITHUB_REF_NAME\"", "\"$GITHUB_SERVER_URL/$GITHUB_REPOSITORY\""];

/// The environments of docs/releasing.md. A secret is given to no job outside one.
const ENVIRONMENTS: [&str; 4] = ["preview", "production", "production-whole", "release"];

/// What an artifact action, checkout and the rest may be: few, and GitHub's own.
const ACTIONS: [&str; 5] = [
    "actions/attest-build-provenance",
    "actions/cache",
    "actions/checkout",
    "actions/download-artifact",
    "actions/upload-artifact",
];

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The workflows of the repository by the names of their files.
fn workflows() -> BTreeMap<String, String> {
    let folder = root().join(".github/workflows");
    let entries = fs::read_dir(&folder).unwrap();
    let read =
        |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap());
    let found: BTreeMap<_, _> = entries.map(|entry| read(entry.unwrap())).collect();
    assert!(found.len() >= 7, "the test looks in the wrong place: {found:?}");
    found
}

fn fields(yaml: &Yaml) -> Vec<(&str, &Yaml)> {
    let pairs = yaml.as_hash().into_iter().flatten();
    pairs.map(|(name, value)| (name.as_str().unwrap_or_default(), value)).collect()
}

fn steps(job: &Yaml) -> &[Yaml] {
    job["steps"].as_vec().map_or(&[], Vec::as_slice)
}

/// The names of secrets that a text gives away.
fn secrets(text: &str) -> bool {
    text.contains("secrets.") || text.contains("github.token") || text.contains("secrets[")
}

fn dump(yaml: &Yaml) -> String {
    let mut text = String::new();
    yaml_rust2::YamlEmitter::new(&mut text).dump(yaml).unwrap();
    text
}

/// What is wrong with a workflow or an action.
fn problems(text: &str, known: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut wrong = |what: String| found.push(what);
    let parsed = YamlLoader::load_from_str(text).unwrap();
    let workflow = &parsed[0];
    let is_action = !workflow["runs"].is_badvalue();
    // YAML 1.1 takes `on` for a truth value; this parser, of 1.2, does not.
    let triggers: Vec<&str> = fields(&workflow["on"]).into_iter().map(|(name, _)| name).collect();
    if !is_action && triggers.is_empty() {
        wrong("it says of nothing when it runs, as a table".to_owned());
    }
    if text.contains("pull_request_target") || text.contains("secrets: inherit") {
        wrong("it takes pull_request_target, or hands on all secrets".to_owned());
    }
    if !is_action && (dump(&workflow["permissions"]).trim() != "---\ncontents: read") {
        wrong("its permissions are not `contents: read` at the top".to_owned());
    }
    if !is_action && workflow["concurrency"]["group"].is_badvalue() {
        wrong("it has no concurrency group".to_owned());
    }
    let head = text.split_once("\njobs:").map_or("", |(head, _)| head);
    if secrets(head) {
        wrong("a secret is given to every job".to_owned());
    }
    let takes_strangers = triggers.iter().any(|trigger| ["pull_request", "merge_group"].contains(trigger));
    let jobs = if is_action { vec![("action", &workflow["runs"])] } else { fields(&workflow["jobs"]) };
    if jobs.is_empty() {
        wrong("it has no jobs".to_owned());
    }
    for (name, job) in jobs {
        let called = job["uses"].as_str();
        if let Some(called) = called {
            if !called.starts_with("./.github/workflows/") {
                wrong(format!("{name} calls {called}, a workflow of another repository"));
            }
        } else if !is_action && job["timeout-minutes"].as_i64().is_none_or(|minutes| minutes > 90) {
            wrong(format!("{name} has no timeout-minutes, or a long one"));
        }
        let environment = job["environment"].as_str();
        if environment.is_some_and(|environment| !ENVIRONMENTS.contains(&environment)) {
            wrong(format!("{name} has an environment that docs/releasing.md does not describe"));
        }
        if secrets(&dump(job)) && (environment.is_none() || takes_strangers) {
            wrong(format!("{name} has a secret without an environment, or in a workflow that runs a stranger's code"));
        }
        if !job["permissions"].is_badvalue() && (environment.is_none() || takes_strangers) {
            wrong(format!("{name} has more permissions than the workflow, without an environment"));
        }
        if job["env"].as_hash().is_some() {
            wrong(format!("{name} sets an environment for all steps: only the step that needs a value is given it"));
        }
        for step in steps(job) {
            if let Some(action) = step["uses"].as_str() {
                if !action.starts_with("./.github/actions/") {
                    let (owner, commit) = action.split_once('@').unwrap_or((action, ""));
                    let is_commit = commit.len() == 40 && commit.chars().all(|digit| digit.is_ascii_hexdigit());
                    let line = text.lines().find(|line| line.contains(action)).unwrap_or_default();
                    if !is_commit || !line.contains(" # v") || !ACTIONS.contains(&owner) {
                        wrong(format!(
                            "{name} uses {action}: not one of ours, or not pinned by a commit with its version"
                        ));
                    }
                }
                if action.starts_with("actions/checkout@") {
                    let with = &step["with"];
                    if with["persist-credentials"].as_bool() != Some(false) {
                        wrong(format!("{name} leaves the token of the checkout in its folder"));
                    }
                    if fields(with).iter().any(|(name, _)| ["ref", "repository", "token"].contains(name)) {
                        wrong(format!("{name} checks out something other than what the workflow is of"));
                    }
                }
            }
            if let Some(problem) = step["run"].as_str().and_then(|run| command(run, known)) {
                wrong(format!("{name}: {problem}"));
            }
        }
    }
    found
}

/// What is wrong with what a step runs.
fn command(run: &str, known: &BTreeSet<String>) -> Option<String> {
    let run = run.trim();
    if OTHER_COMMANDS.contains(&run) {
        return None;
    }
    let Some(arguments) = run.strip_prefix("cargo xtask ") else {
        return Some(format!("{run:?} is no `cargo xtask`: a workflow holds no logic"));
    };
    let words: Vec<&str> = arguments.split(' ').collect();
    let is_plain =
        |word: &str| word.chars().all(|character| character.is_ascii_alphanumeric() || "-_/.".contains(character));
    if let Some(word) = words.iter().find(|word| !VARIABLES.contains(word) && !is_plain(word)) {
        return Some(format!("{run:?} has {word}, which is no fixed word"));
    }
    let names: String =
        words.iter().take(if words[0] == "deploy" { 2 } else { 1 }).copied().collect::<Vec<_>>().join(" ");
    if known.contains(&names) { None } else { Some(format!("there is no `cargo xtask {names}`")) }
}

/// The commands that `cargo xtask` knows, from what it prints.
fn known_commands() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).current_dir(root()).output().unwrap();
    let usage = String::from_utf8(output.stderr).unwrap();
    let mut known = BTreeSet::new();
    for line in usage.lines().filter_map(|line| line.strip_prefix("cargo xtask ")) {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "deploy" {
            let whats = words[1..].split(|word| *word == "|").filter_map(|words| words.first());
            known.extend(
                whats
                    .filter(|word| word.chars().all(|character| character.is_ascii_lowercase() || character == '-'))
                    .map(|what| format!("deploy {what}")),
            );
        } else {
            known.insert(words[0].to_owned());
        }
    }
    known
}

#[test]
fn workflows_call_cargo_xtask_with_what_they_need_and_no_more() {
    let known = known_commands();
    assert!(
        known.contains("test") && known.contains("deploy whole") && known.contains("deploy roll-back"),
        "{known:?}"
    );
    let mut all: Vec<(String, String)> = workflows().into_iter().collect();
    let action = ".github/actions/prepare/action.yml";
    all.push((action.to_owned(), fs::read_to_string(root().join(action)).unwrap()));
    for (name, text) in all {
        assert_eq!(problems(&text, &known), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_rule_finds_what_breaks_it() {
    let known = known_commands();
    let workflows = workflows();
    let broken = |file: &str, part: &str, instead: &str, expected: &str| {
        let text = &workflows[file];
        assert!(text.contains(part), "{file} has no {part:?}: bring this test up to date");
        let found = problems(&text.replacen(part, instead, 1), &known);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{part:?} -> {instead:?}: {found:?}");
    };
    broken("preview.yml", "  workflow_run:", "  pull_request_target:\n  workflow_run:", "pull_request_target");
    broken("test.yml", "  contents: read", "  contents: write", "permissions");
    broken("test.yml", "permissions:\n  contents: read\n", "", "permissions");
    broken("test.yml", "concurrency:\n  group", "concurrent:\n  group", "concurrency");
    broken("test.yml", "    timeout-minutes: 75\n", "", "timeout");
    broken("test.yml", "cargo xtask test\n", "cargo xtask test && curl https://example.com\n", "fixed word");
    broken("test.yml", "cargo xtask test\n", "npm test\n", "no logic");
    broken("test.yml", "cargo xtask test\n", "cargo xtask tests\n", "there is no");
    broken("deploy.yml", "deploy canary --artifact", "deploy canaries --artifact", "there is no");
    broken("release.yml", "\"$GITHUB_REF_NAME\"", "${{ github.ref_name }}", "fixed word");
    broken(
        "preview.yml",
        "run: cargo xtask deploy pull-request",
        "run: cargo xtask deploy pull-request ${{ github.event.workflow_run.display_title }}",
        "fixed word",
    );
    broken("preview.yml", "    environment: preview\n", "", "without an environment");
    broken("preview.yml", "    environment: preview\n", "    environment: previews\n", "docs/releasing.md");
    broken(
        "build.yml",
        "      - run: cargo xtask build",
        "      - run: cargo xtask build\n        env:\n          X: ${{ secrets.X }}",
        "stranger",
    );
    broken(
        "test.yml",
        "jobs:\n  test:\n",
        "jobs:\n  test:\n    environment: preview\n    permissions:\n      contents: write\n",
        "more permissions",
    );
    broken("deploy.yml", "permissions:\n", "env:\n  X: ${{ secrets.X }}\npermissions:\n", "every job");
    broken(
        "deploy.yml",
        "    environment: production\n",
        "    environment: production\n    env:\n      X: 1\n",
        "all steps",
    );
    broken("test.yml", "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "pinned");
    broken(
        "test.yml",
        "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
        "@3d3c42e5aac5ba805825da76410c181273ba90b1",
        "pinned",
    );
    broken("test.yml", "actions/checkout@", "stranger/checkout@", "not one of ours");
    broken("test.yml", "persist-credentials: false", "persist-credentials: true", "token of the checkout");
    broken(
        "preview.yml",
        "persist-credentials: false",
        "persist-credentials: false\n          ref: x",
        "something other",
    );
    broken(
        "deploy.yml",
        "./.github/workflows/test.yml",
        "someone/repository/.github/workflows/test.yml@main",
        "another repository",
    );
}

#[test]
fn one_action_has_one_version() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut all: Vec<String> = workflows().into_values().collect();
    all.push(fs::read_to_string(root().join(".github/actions/prepare/action.yml")).unwrap());
    for line in all
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "))
    {
        let (name, version) = line.split_once('@').unwrap_or((line, ""));
        versions.entry(name.to_owned()).or_default().insert(version.to_owned());
    }
    for (action, versions) in versions {
        assert_eq!(versions.len(), 1, "{action}: {versions:?}");
    }
}

#[test]
fn the_artifact_holds_what_is_deployed() {
    let build = YamlLoader::load_from_str(&workflows()["build.yml"]).unwrap();
    let upload = steps(&build[0]["jobs"]["build"]).iter().find(|step| step["with"]["name"].as_str() == Some("worker"));
    let upload = &upload.expect("an upload")["with"]["path"];
    let paths: Vec<&str> = upload.as_str().unwrap().lines().collect();
    assert_eq!(paths, ["build/index.js", "build/index_bg.wasm", "static", "tests/snapshots/tools"]);
    let source = fs::read_to_string(root().join("xtask/src/deploy/artifact.rs")).unwrap();
    for file in ["\"index.js\"", "\"index_bg.wasm\"", "\"tests/snapshots/tools\""] {
        assert!(source.contains(file), "artifact.rs takes other files than build.yml uploads: {file}");
    }
    assert!(root().join("tests/snapshots/tools").is_dir());
}

#[test]
fn dependabot_looks_after_every_kind_of_dependency() {
    let text = fs::read_to_string(root().join(".github/dependabot.yml")).unwrap();
    let parsed = YamlLoader::load_from_str(&text).unwrap();
    let updates = parsed[0]["updates"].as_vec().unwrap();
    let kinds: Vec<&str> = updates.iter().map(|update| update["package-ecosystem"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["cargo", "npm", "github-actions", "devcontainers"]);
    for update in updates.iter().take(3) {
        assert_eq!(fields(&update["groups"]).len(), 1, "one pull request for each kind: {update:?}");
    }
    for folder in updates[2]["directories"].as_vec().unwrap().iter().filter_map(Yaml::as_str) {
        let action = root().join(folder.trim_start_matches('/')).join("action.yml");
        assert!(folder == "/" || action.is_file(), "{folder}");
    }
}
