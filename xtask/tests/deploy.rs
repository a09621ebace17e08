//! `cargo xtask deploy` and `publish` with programs in place of wrangler, gh and the smoke tests, which write down how they were called.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect fails"
)]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const OLD: &str = "dc8dcd28-271b-4367-9840-6c244f84cb40";
const NEW: &str = "db7cd8d3-4425-4fe7-8c81-01bf963b6067";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const URL: &str = "https://server.example.com";
const ACCESS_KEY: &str = "an-access-key-of-thirty-two-characters";

/// `$1`: who calls. Each secret that it is shown is named behind its call.
const CALLED: &str = r#"
called() {
    line=$(printf '%s' "$*" | tr '\n' ' ')
    for name in CLOUDFLARE_API_TOKEN GH_TOKEN SMOKE_ACCESS_KEY PREVIEW_PRIVATE_KEY; do
        eval "value=\${$name}"
        [ -z "$value" ] || line="$line +$name"
    done
    echo "$line" >> "$here/calls"
    if [ -e "$here/fails" ] && echo "$*" | grep -q -f "$here/fails"; then
        echo "$1 was told to fail"
        exit 1
    fi
}
"#;

const WRANGLER: &str = r#"
called wrangler "$@"
case "$1 $2" in
"deployments status") cat "$here/status.json" ;;
"versions view") cat "$here/version.json" ;;
"versions upload") echo '{"type":"version-upload","version":1,"version_id":"NEW"}' >> "$WRANGLER_OUTPUT_FILE_PATH" ;;
"versions deploy")
    shift 2
    versions=
    while [ "${1#--}" = "$1" ]; do
        versions="$versions,{\"version_id\":\"${1%@*}\",\"percentage\":${1#*@}}"
        shift
    done
    echo "{\"versions\":[${versions#,}]}" > "$here/status.json"
    ;;
"deploy --config")
    echo '{"versions":[{"version_id":"NEW","percentage":100}]}' > "$here/status.json"
    cp "$3" "$here/deployed.toml"
    while [ $# -gt 0 ]; do
        [ "$1" != --secrets-file ] || cp "$2" "$here/secrets.json"
        shift
    done
    name=$(sed -n 's/^name = "\(.*\)"/\1/p' "$here/deployed.toml" | head -n 1)
    echo "{\"type\":\"deploy\",\"version\":1,\"version_id\":\"NEW\",\"targets\":[\"https://$name.previews.workers.dev\"]}" \
        >> "$WRANGLER_OUTPUT_FILE_PATH"
    ;;
esac
"#;

const SMOKE: &str = r#"
called "$@"
if [ -e "$here/smoke-hangs" ]; then
    touch "$here/smoke-started"
    exec sleep 60
fi
"#;

const GH: &str = r#"
called gh "$@"
case "$*" in
*"/pulls "*) cat "$here/pulls.json" ;;
*/artifacts) cat "$here/artifacts.json" ;;
"run download"*) for place; do :; done; cp -R "$here/built/." "$place" ;;
esac
"#;

/// A checkout with what the commands read of one.
struct Checkout(PathBuf);

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

impl Checkout {
    fn new(name: &str) -> Self {
        let this = Self(env::temp_dir().join(format!("tidbcloud-deploy-{}-{name}", std::process::id())));
        let _ = fs::remove_dir_all(&this.0);
        for file in ["Cargo.lock", "package.json", "wrangler.toml"] {
            this.write(file, &fs::read_to_string(own(file)).unwrap());
        }
        for (file, text) in [
            ("xtask/Cargo.toml", ""),
            (".npmrc", ""),
            ("package-lock.json", r#"{"packages":{"":{}}}"#),
            ("node_modules/.package-lock.json", r#"{"packages":{}}"#),
            ("build/index.js", "built"),
            ("build/index_bg.wasm", "built"),
            ("static/index.html", "page"),
        ] {
            this.write(file, text);
        }
        for (program, text) in [
            ("node_modules/.bin/node", ""),
            ("node_modules/.bin/wrangler", WRANGLER),
            ("bin/gh", GH),
            ("bin/smoke", SMOKE),
        ] {
            let text = text.replace("NEW", NEW);
            this.write(program, &format!("#!/bin/sh\nhere='{}'\n{CALLED}{text}", this.0.display()));
            fs::set_permissions(this.0.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        this.write("status.json", &format!(r#"{{"id":"x","versions":[{{"version_id":"{OLD}","percentage":100}}]}}"#));
        this.at_migration("v5");
        this
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn at_migration(&self, tag: &str) {
        let newest = fs::read_to_string(own("wrangler.toml")).unwrap();
        assert!(newest.contains("tag = \"v5\""), "bring this test up to date with wrangler.toml's migrations");
        self.write("version.json", &format!(r#"{{"resources":{{"script_runtime":{{"migration_tag":"{tag}"}}}}}}"#));
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let path = format!("{}:{}", self.0.join("bin").display(), env::var("PATH").unwrap());
        command.args(words).current_dir(&self.0).env("PATH", path).env_remove("CARGO_MANIFEST_DIR");
        for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH", "DEPLOYMENT_URL"] {
            command.env_remove(name);
        }
        for name in ["CLOUDFLARE_API_TOKEN", "GH_TOKEN", "SMOKE_ACCESS_KEY", "PREVIEW_PRIVATE_KEY"] {
            command.env(name, "a-secret");
        }
        command.env("PREVIEW_ACCESS_KEY", ACCESS_KEY).env("PREVIEW_PUBLIC_KEY", "public");
        command.env("MCP_TIDBCLOUD_CACHE", self.0.join("cache")).env("GITHUB_REPOSITORY", "someone/server");
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a deployment, and says whether it succeeded and what it printed.
    fn deploy(&self, what: &str) -> (bool, String) {
        let smoke = self.0.join("bin/smoke").display().to_string();
        let output = self.run(&["deploy", what, "--url", URL, "--commit", COMMIT, "--smoke", &smoke]);
        (output.status.success(), all(&output))
    }

    /// What was called, without what changes from run to run.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.0.join("calls")).unwrap_or_default();
        let here = self.0.display().to_string();
        calls.lines().map(|line| line.replace(&here, "HERE")).collect()
    }

    /// The traffic that the fake Cloudflare has been told of.
    fn traffic(&self) -> String {
        let status = fs::read_to_string(self.0.join("status.json")).unwrap();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let versions = status["versions"].as_array().unwrap().iter();
        let shares = versions
            .map(|version| format!("{}@{}", name(version["version_id"].as_str().unwrap()), version["percentage"]));
        shares.collect::<Vec<_>>().join(" ")
    }
}

fn name(id: &str) -> &'static str {
    match id {
        OLD => "OLD",
        NEW => "NEW",
        _ => "another",
    }
}

fn all(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The calls that change something or test it, in short.
fn steps(checkout: &Checkout) -> Vec<String> {
    let short = |call: String| {
        let call = call.replace(OLD, "OLD").replace(NEW, "NEW");
        let words: Vec<&str> = call.split(' ').collect();
        match words.as_slice() {
            ["wrangler", "deployments" | "versions", "status" | "view", ..] => None,
            ["wrangler", "versions", "deploy", rest @ ..] => {
                let shares: Vec<&str> = rest.iter().copied().take_while(|word| !word.starts_with("--")).collect();
                Some(format!("deploy {}", shares.join(" ")))
            }
            ["wrangler", what, ..] => Some((*what).to_owned()),
            ["smoke", ..] if call.contains("--worker-version NEW") => Some("smoke NEW".to_owned()),
            ["smoke", ..] => Some("smoke".to_owned()),
            _ => Some(call.clone()),
        }
    };
    checkout.calls().into_iter().filter_map(short).collect()
}

#[test]
fn a_new_version_has_a_tenth_then_all_of_the_traffic() {
    let checkout = Checkout::new("usual");
    let (success, said) = checkout.deploy("canary");
    assert!(success, "{said}");
    let expected = ["versions", "deploy OLD@90 NEW@10", "smoke NEW", "deploy NEW@100", "smoke", "triggers"];
    assert_eq!(steps(&checkout), expected, "{said}");
    assert_eq!(checkout.traffic(), "NEW@100");
    let calls = checkout.calls();
    let smoke = calls.iter().find(|call| call.starts_with("smoke")).expect("tested");
    assert!(smoke.contains(URL) && smoke.contains(&format!("--commit {COMMIT}")), "{smoke}");
    assert!(!checkout.0.join("target/deploy/canary.json").exists(), "nothing is left half done");
    let made = fs::read_to_string(checkout.0.join("target/deploy/worker/wrangler.toml")).unwrap();
    assert!(!made.contains("cargo xtask build"), "wrangler builds nothing: {made}");
    for call in &calls {
        let (wranglers, smokes) = (call.starts_with("wrangler"), call.starts_with("smoke"));
        assert_eq!(call.contains("+CLOUDFLARE_API_TOKEN"), wranglers, "the token is wrangler's alone: {call}");
        assert_eq!(call.contains("+SMOKE_ACCESS_KEY"), smokes, "the key is the smoke tests' alone: {call}");
        assert!(!call.contains("+GH_TOKEN") && !call.contains("+PREVIEW_PRIVATE_KEY"), "{call}");
    }
}

#[test]
fn a_version_that_fails_its_smoke_tests_is_rolled_back() {
    let at_a_tenth = Checkout::new("smoke");
    at_a_tenth.write("fails", "^smoke .*--worker-version");
    let (success, said) = at_a_tenth.deploy("canary");
    assert!(!success && said.contains("was rolled back"), "{said}");
    assert_eq!(steps(&at_a_tenth), ["versions", "deploy OLD@90 NEW@10", "smoke NEW", "deploy OLD@100"], "{said}");
    assert_eq!(at_a_tenth.traffic(), "OLD@100");

    let at_all = Checkout::new("smoke-all");
    at_all.write("fails", "^smoke .*[^0-9a-f-]0123456789abcdef0123456789abcdef01234567$");
    let (success, said) = at_all.deploy("canary");
    assert!(!success && said.contains("was rolled back"), "{said}");
    assert_eq!(at_all.traffic(), "OLD@100", "nor does it keep all of the traffic");
}

#[test]
fn what_fails_before_or_at_the_split_leaves_the_old_version() {
    for (case, fails, calls) in
        [("upload", "^wrangler versions upload", 1), ("split", "^wrangler versions deploy .*@90", 2)]
    {
        let checkout = Checkout::new(case);
        checkout.write("fails", fails);
        let (success, said) = checkout.deploy("canary");
        assert!(!success, "{said}");
        assert_eq!(steps(&checkout).len(), calls, "{said}");
        assert_eq!(checkout.traffic(), "OLD@100");
    }
    let checkout = Checkout::new("roll-back-fails");
    checkout.write("fails", "^smoke \n@100 ".trim());
    let (success, said) = checkout.deploy("canary");
    assert!(!success && said.contains(&format!("npx wrangler rollback {OLD}")), "what to do by hand is said: {said}");
}

#[test]
fn a_signal_rolls_back() {
    let checkout = Checkout::new("signal");
    checkout.write("smoke-hangs", "");
    let smoke = checkout.0.join("bin/smoke").display().to_string();
    let mut command = checkout.command(&["deploy", "canary", "--url", URL, "--smoke", &smoke]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !checkout.0.join("smoke-started").exists() {
        assert!(Instant::now() < deadline, "the smoke tests never began: {:?}", checkout.calls());
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(checkout.traffic(), "OLD@90 NEW@10");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(checkout.traffic(), "OLD@100");
}

#[test]
fn the_next_step_rolls_back_what_was_left_half_done() {
    let checkout = Checkout::new("left");
    let split = |versions: &str| checkout.write("status.json", &format!(r#"{{"versions":[{versions}]}}"#));
    let of = |id: &str, share: u32| format!(r#"{{"version_id":"{id}","percentage":{share}}}"#);
    split(&format!("{},{}", of(OLD, 90), of(NEW, 10)));
    let output = checkout.run(&["deploy", "roll-back"]);
    assert!(output.status.success() && checkout.traffic() == "OLD@100", "killed without a trace: {}", all(&output));

    split(&of(NEW, 100));
    checkout.write("target/deploy/canary.json", &format!(r#"{{"old":"{OLD}","new":"{NEW}"}}"#));
    let output = checkout.run(&["deploy", "roll-back"]);
    assert!(
        output.status.success() && checkout.traffic() == "OLD@100",
        "killed before it was tested: {}",
        all(&output)
    );

    let before = steps(&checkout).len();
    let output = checkout.run(&["deploy", "roll-back"]);
    assert!(output.status.success() && all(&output).contains("nothing to roll back"), "{}", all(&output));
    assert_eq!(steps(&checkout).len(), before, "a deployment that is whole is left alone");
}

#[test]
fn a_migration_is_not_split() {
    let checkout = Checkout::new("migration");
    checkout.at_migration("v4");
    let (success, said) = checkout.deploy("canary");
    assert!(!success && said.contains("deploy whole") && said.contains("rolling back ends here"), "{said}");
    assert!(steps(&checkout).is_empty(), "nothing was changed: {:?}", steps(&checkout));

    let output = checkout.0.join("output");
    let plan = checkout.command(&["deploy", "plan"]).env("GITHUB_OUTPUT", &output).output().unwrap();
    assert!(plan.status.success() && all(&plan).contains("v4"), "{}", all(&plan));
    assert_eq!(fs::read_to_string(&output).unwrap(), "way=whole\n");
    checkout.at_migration("v5");
    let plan = checkout.command(&["deploy", "plan"]).env("GITHUB_OUTPUT", &output).output().unwrap();
    assert!(plan.status.success(), "{}", all(&plan));
    assert_eq!(fs::read_to_string(&output).unwrap(), "way=whole\nway=canary\n", "a line is added");
    assert!(steps(&checkout).is_empty(), "a plan changes nothing");
}

#[test]
fn a_whole_deployment_says_where_rolling_back_ends() {
    let checkout = Checkout::new("whole");
    checkout.at_migration("v4");
    let (success, said) = checkout.deploy("whole");
    assert!(success && said.contains("rolling back ends here"), "{said}");
    assert_eq!(steps(&checkout), ["deploy", "smoke"], "{said}");

    let failing = Checkout::new("whole-fails");
    failing.at_migration("v4");
    failing.write("fails", "^smoke");
    let (success, said) = failing.deploy("whole");
    assert!(!success && failing.traffic() == "NEW@100" && said.contains("the way is forward"), "{said}");

    let without = Checkout::new("whole-without");
    without.write("fails", "^smoke");
    let (success, said) = without.deploy("whole");
    assert!(!success && without.traffic() == "OLD@100", "without a migration it goes back: {said}");
}

#[test]
fn what_cannot_be_read_deploys_nothing() {
    for (case, file, text) in [
        ("no-status", "status.json", "not found"),
        ("no-version", "status.json", r#"{"versions":[]}"#),
        ("other-id", "status.json", r#"{"versions":[{"version_id":"latest","percentage":100}]}"#),
        ("no-build", "wrangler.toml", "name = \"x\"\nmain = \"build/index.js\"\n"),
    ] {
        let checkout = Checkout::new(case);
        checkout.write(file, text);
        let (success, said) = checkout.deploy("canary");
        assert!(!success && steps(&checkout).is_empty(), "{case}: {said}");
    }
    let checkout = Checkout::new("no-artifact");
    fs::remove_file(checkout.0.join("build/index_bg.wasm")).unwrap();
    let (success, said) = checkout.deploy("canary");
    assert!(!success && said.contains("cargo xtask build") && steps(&checkout).is_empty(), "{said}");
}

/// The event after a run of build.yml, and what GitHub answers then.
fn event(checkout: &Checkout, from: &str, conclusion: &str, state: &str) {
    checkout.write(
        "event.json",
        &serde_json::json!({
            "repository": { "full_name": "someone/server", "default_branch": "main" },
            "workflow_run": {
                "id": 12, "event": "pull_request", "path": ".github/workflows/build.yml", "conclusion": conclusion,
                "head_branch": "a;touch ran", "head_sha": COMMIT, "head_repository": { "full_name": from },
            },
        })
        .to_string(),
    );
    checkout.write(
        "pulls.json",
        &serde_json::json!([{
            "number": 7, "state": state, "title": "$(touch ran)",
            "head": { "sha": COMMIT, "repo": { "full_name": from } },
            "base": { "ref": "main", "repo": { "full_name": "someone/server" } },
        }])
        .to_string(),
    );
    checkout.write("artifacts.json", r#"{"artifacts":[{"name":"worker","size_in_bytes":1000}]}"#);
    for file in ["build/index.js", "build/index_bg.wasm", "static/index.html", "tests/snapshots/tools/db_query.json"] {
        checkout.write(&format!("built/{file}"), "of the pull request");
    }
}

fn pull_request(checkout: &Checkout) -> (bool, String) {
    let smoke = checkout.0.join("bin/smoke").display().to_string();
    let mut command = checkout.command(&["deploy", "pull-request", "--smoke", &smoke]);
    let output = command.env("GITHUB_EVENT_PATH", checkout.0.join("event.json")).output().unwrap();
    (output.status.success(), all(&output))
}

fn changes(checkout: &Checkout) -> Vec<String> {
    checkout.calls().into_iter().filter(|call| call.starts_with("wrangler") || call.starts_with("gh pr")).collect()
}

#[test]
fn an_open_pull_request_gets_a_closed_preview_of_its_own() {
    let checkout = Checkout::new("preview");
    event(&checkout, "someone/server", "success", "open");
    let (success, said) = pull_request(&checkout);
    assert!(success, "{said}");
    let deployed = fs::read_to_string(checkout.0.join("deployed.toml")).unwrap();
    assert!(deployed.contains("name = \"mcp-server-tidbcloud-pr-7\""), "{deployed}");
    assert!(!deployed.contains("cargo xtask build") && !deployed.contains("crons"), "{deployed}");
    let secrets = fs::read_to_string(checkout.0.join("secrets.json")).unwrap();
    assert!(secrets.contains("MCP_ACCESS_KEY") && secrets.contains(ACCESS_KEY), "closed from its first moment");
    assert!(!checkout.0.join("target/preview/secrets.json").exists(), "the file does not stay");
    assert!(!said.contains(ACCESS_KEY) && !said.contains("a-secret"), "no key is printed: {said}");
    let calls = checkout.calls();
    let smoke = calls.iter().find(|call| call.starts_with("smoke")).expect("tested");
    assert!(smoke.contains("https://mcp-server-tidbcloud-pr-7.previews.workers.dev"), "{smoke}");
    assert!(
        smoke.contains("--tools") && smoke.contains("tests/snapshots/tools") && smoke.contains("+SMOKE_ACCESS_KEY"),
        "{smoke}"
    );
    let comment = calls.iter().find(|call| call.starts_with("gh pr comment 7 ")).expect("said under it");
    assert!(comment.contains("--create-if-none") && comment.contains("Preview of 0123456789ab"), "{comment}");
    assert!(
        !calls.iter().any(|call| call.contains(ACCESS_KEY)),
        "no key is an argument, which others on the machine can read"
    );
    for call in calls.iter().filter(|call| call.starts_with("gh")) {
        assert!(!call.contains("+CLOUDFLARE_API_TOKEN") && !call.contains("+PREVIEW_PRIVATE_KEY"), "{call}");
    }
    assert!(!checkout.0.join("ran").exists(), "a branch or a title is run by nobody");
}

#[test]
fn a_preview_goes_when_its_pull_request_is_closed() {
    let checkout = Checkout::new("closed");
    event(&checkout, "someone/server", "success", "closed");
    let (success, said) = pull_request(&checkout);
    assert!(success, "{said}");
    let changes = changes(&checkout);
    assert!(
        changes.iter().any(|call| call.starts_with("wrangler delete mcp-server-tidbcloud-pr-7 --force")),
        "{changes:?}"
    );
    assert!(!changes.iter().any(|call| call.starts_with("wrangler deploy")), "{changes:?}");
}

#[test]
fn a_fork_a_failed_build_and_an_older_commit_get_no_preview() {
    let fork = Checkout::new("fork");
    event(&fork, "stranger/server", "success", "open");
    let (success, said) = pull_request(&fork);
    assert!(!success && said.contains("fork") && fork.calls().is_empty(), "{said}");

    let failed = Checkout::new("failed");
    event(&failed, "someone/server", "failure", "open");
    let (success, said) = pull_request(&failed);
    assert!(success && changes(&failed).is_empty(), "{said}");

    let older = Checkout::new("older");
    event(&older, "someone/server", "success", "open");
    older.write("pulls.json", "[]");
    let (success, said) = pull_request(&older);
    assert!(success && changes(&older).is_empty(), "{said}");
}

#[test]
fn an_artifact_that_is_large_or_strange_is_not_deployed() {
    let large = Checkout::new("large");
    event(&large, "someone/server", "success", "open");
    large.write("artifacts.json", r#"{"artifacts":[{"name":"worker","size_in_bytes":100000000}]}"#);
    let two = Checkout::new("two");
    event(&two, "someone/server", "success", "open");
    let artifact = r#"{"name":"worker","size_in_bytes":1000}"#;
    two.write("artifacts.json", &format!(r#"{{"artifacts":[{artifact},{artifact}]}}"#));
    let strange = Checkout::new("strange");
    event(&strange, "someone/server", "success", "open");
    strange.write("built/wrangler.toml", "name = \"mcp-server-tidbcloud\"");
    for checkout in [large, two, strange] {
        let (success, said) = pull_request(&checkout);
        assert!(!success && changes(&checkout).is_empty(), "{said}");
    }
}

#[test]
fn a_preview_that_fails_its_smoke_tests_says_so() {
    let checkout = Checkout::new("preview-fails");
    event(&checkout, "someone/server", "success", "open");
    checkout.write("fails", "^smoke");
    let (success, said) = pull_request(&checkout);
    assert!(!success, "{said}");
    let changes = changes(&checkout).join("\n");
    assert!(changes.contains("gh pr comment 7"), "{changes}");
    let calls = fs::read_to_string(checkout.0.join("calls")).unwrap();
    assert!(calls.contains("smoke tests failed"), "{calls}");
}

#[test]
fn previews_are_made_and_removed_by_hand_too() {
    let checkout = Checkout::new("by-hand");
    let smoke = checkout.0.join("bin/smoke").display().to_string();
    event(&checkout, "someone/server", "success", "open");
    let built = checkout.0.join("built").display().to_string();
    let output = checkout.run(&["deploy", "preview", "--number", "7", "--artifact", &built, "--smoke", &smoke]);
    assert!(output.status.success(), "{}", all(&output));
    for wrong in ["0", "7;id", "$(id)", "../7", "main"] {
        let before = checkout.calls().len();
        let output = checkout.run(&["deploy", "preview", "--number", wrong, "--artifact", &built]);
        assert!(!output.status.success() && checkout.calls().len() == before, "{wrong}: {}", all(&output));
        assert!(!checkout.run(&["deploy", "remove", "--number", wrong]).status.success(), "{wrong}");
        assert_eq!(checkout.calls().len(), before, "{wrong}");
    }
    checkout.write("fails", "^wrangler delete");
    let output = checkout.run(&["deploy", "remove", "--number", "7"]);
    assert!(!output.status.success() && all(&output).contains("dashboard"), "{}", all(&output));
}

#[test]
fn a_release_has_the_version_as_its_tag_and_what_was_built() {
    let checkout = Checkout::new("publish");
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    checkout.write("target/release-bundle/worker.tar.gz", "");
    checkout.write("target/release-bundle/notes.md", "What is new.\n");
    let notes = "97edd5c120e1c078b9d709b4f7cbb705388d489a8bdd172807d71b2112ba7c1d";
    // SHA-256 of nothing.
    let sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    checkout.write("target/release-bundle/SHA256SUMS", &format!("{sum}  worker.tar.gz\n{notes}  notes.md\n"));
    let output = checkout.run(&["publish", "--tag", &tag]);
    assert!(output.status.success(), "{}", all(&output));
    let bundle = "HERE/target/release-bundle";
    let expected = format!(
        "gh release create {tag} --repo someone/server --verify-tag --title {tag} --notes-file {bundle}/notes.md \
         {bundle}/worker.tar.gz {bundle}/SHA256SUMS +GH_TOKEN"
    );
    assert_eq!(checkout.calls(), [expected]);

    assert!(!checkout.run(&["publish", "--tag", "v99.0.0"]).status.success(), "a tag is the version");
    checkout.write("target/release-bundle/worker.tar.gz", "changed");
    assert!(!checkout.run(&["publish", "--tag", &tag]).status.success(), "what differs from the sums is not published");
    checkout.write("target/release-bundle/notes.md", "\n");
    assert!(!checkout.run(&["publish", "--tag", &tag]).status.success(), "nor is a release without notes");
    assert_eq!(checkout.calls().len(), 1);
}
