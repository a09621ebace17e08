//! What GitHub says of a pull request, through `gh`, which its runners have.

use std::{env, fs, path::Path, process::Command};

use serde_json::Value;

use super::keep_only;
use crate::process;

/// The workflow whose runs make previews, and the artifact that they leave.
const BUILD: &str = ".github/workflows/build.yml";
const ARTIFACT: &str = "worker";

/// The largest artifact that is fetched, packed, in bytes.
const LARGEST: u64 = 20 * 1024 * 1024;

/// A run of the workflow that builds the Worker of a pull request, as the event `workflow_run` describes it.
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_run>
#[derive(Debug)]
pub(super) struct Run {
    id: u64,
    repository: String,
    branch: String,
    commit: String,
    base: String,
    /// Whether it built something.
    pub(super) succeeded: bool,
}

/// A pull request whose newest commit a run was of.
#[derive(Debug, PartialEq)]
pub(super) struct PullRequest {
    /// Its number.
    pub(super) number: u32,
    /// Whether it is open.
    pub(super) open: bool,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn gh(arguments: &[&str]) -> Command {
    let mut command = Command::new("gh");
    command.args(arguments).env("GH_PROMPT_DISABLED", "1");
    keep_only(&mut command, &["GH_TOKEN", "GITHUB_TOKEN"]);
    command
}

fn api(arguments: &[&str]) -> Result<Value, String> {
    let mut words = vec!["api", "--method", "GET"];
    words.extend(arguments);
    let printed = process::output(&mut gh(&words))?;
    serde_json::from_str(&printed).map_err(|error| format!("gh api: {error}"))
}

/// `owner/name`.
pub(super) fn repository() -> Result<String, String> {
    let name = super::variable("GITHUB_REPOSITORY")?;
    if is_repository(&name) { Ok(name) } else { Err(format!("{name:?} is no repository")) }
}

fn is_repository(name: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_'))
    };
    name.split_once('/').is_some_and(|(owner, name)| is_plain(owner) && is_plain(name))
}

impl Run {
    /// The run that the event of this job is about.
    pub(super) fn of_this_event() -> Result<Self, String> {
        let path =
            env::var_os("GITHUB_EVENT_PATH").ok_or("this runs in GitHub Actions only: GITHUB_EVENT_PATH is not set")?;
        let event = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let event = serde_json::from_slice(&event).map_err(|error| format!("the event: {error}"))?;
        Self::read(&event)
    }

    /// Refuses what is no run of a pull request of this repository's own branches.
    fn read(event: &Value) -> Result<Self, String> {
        let run = event.get("workflow_run").ok_or("the event is no workflow_run")?;
        let repository = text(event, "/repository/full_name");
        if !is_repository(repository) {
            return Err("the event names no repository".to_owned());
        }
        if text(run, "/event") != "pull_request" || text(run, "/path").split('@').next() != Some(BUILD) {
            return Err(format!("the run is none of {BUILD} for a pull request"));
        }
        if text(run, "/head_repository/full_name") != repository {
            return Err("the pull request comes from a fork: it gets no preview".to_owned());
        }
        let commit = text(run, "/head_sha");
        if commit.len() != 40 || !commit.chars().all(|character| character.is_ascii_hexdigit()) {
            return Err("the run names no commit".to_owned());
        }
        Ok(Self {
            id: run.get("id").and_then(Value::as_u64).ok_or("the run has no id")?,
            repository: repository.to_owned(),
            branch: text(run, "/head_branch").to_owned(),
            commit: commit.to_owned(),
            base: text(event, "/repository/default_branch").to_owned(),
            succeeded: text(run, "/conclusion") == "success",
        })
    }

    /// The commit, shortened for people.
    pub(super) fn commit(&self) -> &str {
        self.commit.get(..12).unwrap_or(&self.commit)
    }

    /// The pull requests whose newest commit was built. The event's own list lacks closed ones, so that GitHub is asked; the
    /// branch's name is an argument of a program and never a part of a script.
    pub(super) fn pull_requests(&self) -> Result<Vec<PullRequest>, String> {
        let owner = self.repository.split('/').next().unwrap_or_default();
        let path = format!("repos/{}/pulls", self.repository);
        let head = format!("head={owner}:{}", self.branch);
        let found = api(&[&path, "--raw-field", "state=all", "--raw-field", "per_page=100", "--raw-field", &head])?;
        self.read_pull_requests(&found)
    }

    fn read_pull_requests(&self, found: &Value) -> Result<Vec<PullRequest>, String> {
        let found = found.as_array().ok_or("GitHub lists no pull requests")?;
        let ours = found.iter().filter(|pull| {
            text(pull, "/head/sha") == self.commit
                && text(pull, "/head/repo/full_name") == self.repository
                && text(pull, "/base/repo/full_name") == self.repository
                && text(pull, "/base/ref") == self.base
        });
        let read = |pull: &Value| {
            let number = pull.get("number").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
            Ok(PullRequest {
                number: number.filter(|number| *number > 0).ok_or("a pull request has no number")?,
                open: text(pull, "/state") == "open",
            })
        };
        ours.map(read).collect()
    }

    /// Fetches what the run built into `directory`, if it is of a reasonable size.
    pub(super) fn download(&self, directory: &Path) -> Result<(), String> {
        let listed = api(&[&format!("repos/{}/actions/runs/{}/artifacts", self.repository, self.id)])?;
        let artifacts = listed.get("artifacts").and_then(Value::as_array).ok_or("GitHub lists no artifacts")?;
        let sizes: Vec<Option<u64>> = artifacts
            .iter()
            .filter(|artifact| text(artifact, "/name") == ARTIFACT)
            .map(|artifact| artifact.get("size_in_bytes").and_then(Value::as_u64))
            .collect();
        match sizes.as_slice() {
            [Some(size)] if *size <= LARGEST => {}
            [Some(size)] => return Err(format!("the artifact has {size} bytes; {LARGEST} are taken")),
            others => return Err(format!("the run left {} artifacts of the name {ARTIFACT}, not one", others.len())),
        }
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let (id, place) = (self.id.to_string(), directory.display().to_string());
        let arguments = ["run", "download", &id, "--repo", &self.repository, "--name", ARTIFACT, "--dir", &place];
        process::output(&mut gh(&arguments)).map(|_| ())
    }

    /// Says something under a pull request, in place of what was said there before.
    pub(super) fn comment(&self, number: u32, body: &str, is_first: bool) -> Result<(), String> {
        let number = number.to_string();
        let mut arguments = vec!["pr", "comment", &number, "--repo", &self.repository, "--edit-last", "--body", body];
        if is_first {
            arguments.push("--create-if-none");
        }
        process::output(&mut gh(&arguments)).map(|_| ())
    }
}

/// Makes a release of a tag, with these notes and files.
pub(super) fn release(tag: &str, is_trial: bool, notes: &Path, files: &[String]) -> Result<(), String> {
    let (repository, notes) = (repository()?, notes.display().to_string());
    let mut arguments = vec!["release", "create", tag, "--repo", &repository, "--verify-tag", "--title", tag];
    arguments.extend(["--notes-file", &notes]);
    if is_trial {
        arguments.push("--prerelease");
    }
    arguments.extend(files.iter().map(String::as_str));
    print!("{}", process::output(&mut gh(&arguments))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn event() -> Value {
        json!({
            "repository": { "full_name": "someone/server", "default_branch": "main" },
            "workflow_run": {
                "id": 12, "event": "pull_request", "path": ".github/workflows/build.yml", "conclusion": "success",
                "head_branch": "$(id)", "head_sha": COMMIT, "head_repository": { "full_name": "someone/server" },
            },
        })
    }

    fn changed(pointer: &str, value: Value) -> Result<Run, String> {
        let mut event = event();
        *event.pointer_mut(pointer).expect("a field") = value;
        Run::read(&event)
    }

    #[test]
    fn a_run_is_of_this_repositorys_own_build_for_a_pull_request() {
        assert!(Run::read(&event()).is_ok_and(|run| run.succeeded && run.id == 12));
        let of_a_ref = changed("/workflow_run/path", json!(".github/workflows/build.yml@refs/heads/main"));
        assert!(of_a_ref.is_ok(), "GitHub may add where the workflow stands");
        assert!(changed("/workflow_run/conclusion", json!("failure")).is_ok_and(|run| !run.succeeded));
        let fork = changed("/workflow_run/head_repository/full_name", json!("stranger/server"));
        assert!(fork.is_err_and(|error| error.contains("fork")), "a fork never gets a preview");
        for (pointer, value) in [
            ("/workflow_run/head_repository", json!(null)),
            ("/workflow_run/event", json!("push")),
            ("/workflow_run/path", json!(".github/workflows/other.yml")),
            ("/workflow_run/head_sha", json!("main")),
            ("/workflow_run/id", json!("12")),
            ("/repository/full_name", json!("../x")),
            ("/workflow_run", json!(null)),
        ] {
            assert!(changed(pointer, value).is_err(), "{pointer}");
        }
    }

    #[test]
    fn a_pull_request_is_the_one_whose_newest_commit_was_built() {
        let run = Run::read(&event()).expect("a run");
        let pull = |number: u64, state: &str, commit: &str, from: &str, base: &str| {
            json!({
                "number": number, "state": state, "title": "`rm -rf /`",
                "head": { "sha": commit, "repo": { "full_name": from } },
                "base": { "ref": base, "repo": { "full_name": "someone/server" } },
            })
        };
        let older = "f".repeat(40);
        let found = json!([
            pull(7, "open", COMMIT, "someone/server", "main"),
            pull(8, "open", &older, "someone/server", "main"),
            pull(9, "open", COMMIT, "stranger/server", "main"),
            pull(10, "open", COMMIT, "someone/server", "other"),
            pull(11, "closed", COMMIT, "someone/server", "main"),
        ]);
        let expected = [PullRequest { number: 7, open: true }, PullRequest { number: 11, open: false }];
        assert_eq!(run.read_pull_requests(&found).expect("pull requests"), expected);
        let mut without = pull(7, "open", COMMIT, "someone/server", "main");
        *without.pointer_mut("/number").expect("a number") = json!("7; id");
        assert!(run.read_pull_requests(&json!([without])).is_err());
        assert!(run.read_pull_requests(&json!({ "message": "Not Found" })).is_err());
    }
}
