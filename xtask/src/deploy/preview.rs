//! A Worker for each pull request, in an account that holds nothing but previews.
//!
//! Versions of a Worker with Durable Objects have no preview addresses
//! (<https://developers.cloudflare.com/workers/configuration/previews/>), so that a pull request has a Worker of its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    Deployer,
    artifact::{self, Artifact},
    github::Run,
    origin, variable,
};
use crate::process;

/// What closes a preview, and with what it reaches TiDB Cloud.
pub(super) struct Keys {
    access: String,
    public: String,
    private: String,
}

impl Keys {
    pub(super) fn from_environment() -> Result<Self, String> {
        let keys = Self {
            access: variable("PREVIEW_ACCESS_KEY")?,
            public: variable("PREVIEW_PUBLIC_KEY")?,
            private: variable("PREVIEW_PRIVATE_KEY")?,
        };
        if keys.access.len() < 32 {
            return Err("PREVIEW_ACCESS_KEY has fewer than 32 characters: the Worker would not take it".to_owned());
        }
        Ok(keys)
    }
}

/// The number of a pull request, of which a name is made.
pub(super) fn number(text: &str) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| *number > 0 && number.to_string() == text);
    number.ok_or_else(|| format!("{text:?} is no number of a pull request"))
}

fn name(deployer: &Deployer, number: u32) -> Result<String, String> {
    Ok(format!("{}-pr-{number}", artifact::worker_name(deployer.root())?))
}

fn place(deployer: &Deployer) -> PathBuf {
    deployer.root().join("target/preview")
}

/// `deploy preview`: deploys an artifact as the preview of a pull request, and tests it. Its address.
pub(super) fn deploy(deployer: &Deployer, number: u32, from: &Path, keys: &Keys) -> Result<(String, bool), String> {
    let (name, place) = (name(deployer, number)?, place(deployer));
    let artifact = Artifact::take(from, &place.join("worker"))?;
    let configuration = artifact.configure(deployer.root(), Some(&name))?.display().to_string();
    let secrets = Secrets::write(&place.join("secrets.json"), keys)?;
    let (message, file) = (format!("pull request {number}"), secrets.0.display().to_string());
    // With the secrets from its first moment on: a preview is never open. Nothing is bundled, because what a bundler resolves may
    // be any file of this machine.
    let arguments =
        ["deploy", "--config", &configuration, "--no-bundle", "--secrets-file", &file, "--message", &message];
    let entry = deployer.wrangler_entry(&arguments, &place, "deploy")?;
    drop(secrets);
    let url = address(&entry, &name)?;
    println!("\nthe preview of pull request {number} is at {url}");
    let tools = artifact.tools().map(|path| path.display().to_string());
    let mut arguments = vec![url.as_str(), "--wait", "120"];
    if let Some(tools) = &tools {
        arguments.extend(["--tools", tools]);
    }
    let passed = deployer.smoke(&arguments, Some(&keys.access))?;
    Ok((url, passed))
}

/// The secrets of a preview in a file that only its owner reads, and that goes with this value.
struct Secrets(PathBuf);

impl Secrets {
    fn write(path: &Path, keys: &Keys) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let secrets = json!({
            "MCP_ACCESS_KEY": keys.access,
            "TIDB_CLOUD_PUBLIC_KEY": keys.public,
            "TIDB_CLOUD_PRIVATE_KEY": keys.private,
        });
        let this = Self(path.to_path_buf());
        fs::write(path, "").map_err(told)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(told)?;
        fs::write(path, secrets.to_string()).map_err(told)?;
        Ok(this)
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The address at workers.dev that wrangler says it deployed to.
fn address(entry: &Value, name: &str) -> Result<String, String> {
    let targets = entry.get("targets").and_then(Value::as_array).ok_or("wrangler names no address")?;
    let ours = |target: &&str| {
        target.strip_prefix("https://").is_some_and(|host| host.starts_with(&format!("{name}.")))
            && target.trim_end_matches('/').ends_with(".workers.dev")
    };
    let found = targets.iter().filter_map(Value::as_str).find(ours);
    found.ok_or_else(|| "wrangler names no address at workers.dev".to_owned()).and_then(origin).map(str::to_owned)
}

/// `deploy remove`: deletes a preview with all that it stores. One that is gone already is no failure.
pub(super) fn remove(deployer: &Deployer, number: u32) -> Result<(), String> {
    let name = name(deployer, number)?;
    let place = place(deployer);
    fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    // From a folder without a configuration: this name, and no other, is deleted.
    let mut command = deployer.wrangler(&["delete", &name, "--force"]);
    let ran = process::shown("wrangler", command.current_dir(&place))?;
    // https://developers.cloudflare.com/workers/observability/errors/ and the API's own words for a Worker that is not there.
    let is_gone = || ran.lines.iter().any(|line| line.contains("10007") || line.contains("does not exist"));
    if ran.success || is_gone() {
        println!("the preview of pull request {number} is gone");
        Ok(())
    } else {
        Err(format!("{name} could not be deleted: delete it in the dashboard of the account of previews"))
    }
}

/// `deploy pull-request`, in GitHub Actions after a run of build.yml: deploys the preview of an open pull request, deletes that of
/// a closed one, and says so under it.
pub(super) fn pull_request(deployer: &Deployer) -> Result<(), String> {
    let run = Run::of_this_event()?;
    let found = run.pull_requests()?;
    if found.is_empty() {
        println!("no pull request has {} as its newest commit: nothing to do", run.commit());
    }
    for pull in found {
        if !pull.open {
            remove(deployer, pull.number)?;
            // Where no preview was made there is nothing to correct.
            if let Err(error) = run.comment(pull.number, "The preview is deleted, with all that it stored.", false) {
                println!("no comment was changed: {error}");
            }
        } else if !run.succeeded {
            println!("pull request {} was not built: nothing to deploy", pull.number);
        } else {
            let keys = Keys::from_environment()?;
            let artifact = place(deployer).join("artifact");
            run.download(&artifact)?;
            let (url, passed) = deploy(deployer, pull.number, &artifact, &keys)?;
            run.comment(pull.number, &comment(&url, run.commit(), passed), true)?;
            if !passed {
                return Err(format!("the smoke tests of {url} failed"));
            }
        }
    }
    Ok(())
}

fn comment(url: &str, commit: &str, passed: bool) -> String {
    let verdict = if passed {
        "Its smoke tests passed."
    } else {
        "**Its smoke tests failed**: the log of this workflow says which."
    };
    format!(
        "Preview of {commit}: {url}\n\n{verdict} The access key is `PREVIEW_ACCESS_KEY` of the environment `preview`; \
         whoever maintains this repository has it. The Worker is configured by `wrangler.toml` of the default branch: \
         a change of that file shows after it is merged. The preview goes when this pull request is closed."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_pull_request_is_a_number() {
        assert_eq!(number("7"), Ok(7));
        for other in ["", "0", "07", "+7", "-7", " 7", "7 ", "7;id", "4294967296", "$(id)", "../7"] {
            assert!(number(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn the_address_is_the_workers_own_at_workers_dev() {
        let found = |targets: Value| address(&json!({ "targets": targets }), "server-pr-7");
        let own = "https://server-pr-7.previews.workers.dev";
        assert_eq!(found(json!(["schedule: */5 * * * *", own])).as_deref(), Ok(own));
        for other in [
            json!([]),
            json!(["https://server-pr-70.previews.workers.dev"]),
            json!(["https://server-pr-7.example.com"]),
            json!(["https://server-pr-7.workers.dev.example.com"]),
        ] {
            assert!(found(other.clone()).is_err(), "{other}");
        }
    }

    #[test]
    fn secrets_are_for_the_owner_alone_and_go_with_their_use() {
        let scratch = crate::test::Directory::temporary();
        fs::create_dir_all(&scratch.0).expect("a folder");
        let path = scratch.0.join("secrets.json");
        let [access, public, private] = ["a", "b", "c"].map(str::to_owned);
        let secrets = Secrets::write(&path, &Keys { access, public, private }).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        drop(secrets);
        assert!(!path.exists());
    }
}
