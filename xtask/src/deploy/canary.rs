//! A new version of the deployment: a tenth of the traffic first, all of it when the smoke tests pass, the old one again if not.
//!
//! <https://developers.cloudflare.com/workers/configuration/versions-and-deployments/gradual-deployments/>

use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{Deployer, Flags, artifact, artifact::Artifact, origin, tell_github, variable, version_id};
use crate::process;

/// The share of the traffic that a version has while it is tested, in per cent.
const FIRST: u32 = 10;

/// How long the smoke tests wait for a version or a deployment that the edge does not know yet, in seconds.
const PATIENCE: &str = "120";

/// What is deployed, and where it is tested.
pub(super) struct Release {
    url: String,
    commit: Option<String>,
    artifact: Artifact,
}

impl Release {
    pub(super) fn read(deployer: &Deployer, flags: &Flags) -> Result<Self, String> {
        let url = match flags.get("--url") {
            Some(url) => url.to_owned(),
            None => variable("DEPLOYMENT_URL")?,
        };
        let place = place(deployer).join("worker");
        let artifact = match flags.get("--artifact") {
            Some(from) => Artifact::take(&PathBuf::from(from), &place)?,
            None => Artifact::of_checkout(deployer.root(), &place)?,
        };
        let commit = flags.get("--commit").map(str::to_owned);
        if commit.as_ref().is_some_and(|commit| !commit.chars().all(|character| character.is_ascii_hexdigit())) {
            return Err("--commit takes the hexadecimal name of a commit".to_owned());
        }
        Ok(Self { url: origin(&url)?.to_owned(), commit, artifact })
    }

    fn message(&self) -> String {
        let commit = self.commit.as_deref().and_then(|commit| commit.get(..12)).unwrap_or("built by hand");
        format!("{} {commit}", env!("CARGO_PKG_VERSION"))
    }

    fn smoke(&self, deployer: &Deployer, version: Option<&str>) -> Result<(), String> {
        let mut arguments = vec![self.url.as_str(), "--wait", PATIENCE];
        if let Some(commit) = &self.commit {
            arguments.extend(["--commit", commit]);
        }
        if let Some(version) = version {
            arguments.extend(["--worker-version", version]);
        }
        if deployer.smoke(&arguments, None)? { Ok(()) } else { Err("the smoke tests failed".to_owned()) }
    }
}

fn place(deployer: &Deployer) -> PathBuf {
    deployer.root().join("target/deploy")
}

/// The versions that have traffic now, with their shares in per cent.
struct Deployed(Vec<(String, f64)>);

impl Deployed {
    fn now(deployer: &Deployer) -> Result<Self, String> {
        let name = artifact::worker_name(deployer.root())?;
        let status = deployer.wrangler_json(&["deployments", "status", "--name", &name, "--json"]).map_err(|error| {
            format!("what is deployed cannot be found out: {error}\nThe first deployment is made by hand: npx wrangler deploy")
        })?;
        Self::read(&status)
    }

    fn read(status: &Value) -> Result<Self, String> {
        let versions = status.get("versions").and_then(Value::as_array).ok_or("the deployment has no versions")?;
        let read = |version: &Value| {
            let share = version.get("percentage").and_then(Value::as_f64).ok_or("a version has no percentage")?;
            Ok((version_id(version.get("version_id"))?, share))
        };
        versions.iter().map(read).collect::<Result<_, String>>().map(Self)
    }

    /// The version that has most of the traffic: the old one, where a deployment was left half done.
    fn main(&self) -> Result<&str, String> {
        let most = self.0.iter().max_by(|one, other| one.1.total_cmp(&other.1));
        most.map(|(id, _)| id.as_str()).ok_or_else(|| "no version has any traffic".to_owned())
    }

    fn is_only(&self, version: &str) -> bool {
        matches!(self.0.as_slice(), [(id, _)] if id == version)
    }
}

/// The migrations of Durable Objects that a deployment would carry out.
enum Migrations {
    /// None.
    None,
    /// From the deployed tag to the checkout's.
    Pending { deployed: String, newest: String },
    /// Cloudflare does not say which tag is deployed. wrangler refuses to upload a version with a pending migration, so that
    /// nothing is split that cannot be.
    Unknown,
}

impl Migrations {
    /// `resources.script_runtime.migration_tag` of
    /// <https://developers.cloudflare.com/api/resources/workers/subresources/scripts/subresources/versions/methods/get/>
    fn pending(deployer: &Deployer, version: &str) -> Result<Self, String> {
        let Some(newest) = artifact::newest_migration(deployer.root())? else { return Ok(Self::None) };
        let name = artifact::worker_name(deployer.root())?;
        let view = deployer.wrangler_json(&["versions", "view", version, "--name", &name, "--json"])?;
        Ok(match view.pointer("/resources/script_runtime/migration_tag").and_then(Value::as_str) {
            Some(deployed) if deployed == newest => Self::None,
            Some(deployed) => Self::Pending { deployed: deployed.to_owned(), newest },
            None => Self::Unknown,
        })
    }
}

/// `deploy plan`: says whether the checkout can be deployed in two steps, to a person and, as the output `way`, to a workflow.
pub(super) fn plan(deployer: &Deployer) -> Result<(), String> {
    let deployed = Deployed::now(deployer)?;
    let way = match Migrations::pending(deployer, deployed.main()?)? {
        Migrations::Pending { deployed, newest } => {
            println!("whole: the deployment is at the migration {deployed}, this checkout at {newest}\n{NO_WAY_BACK}");
            "whole"
        }
        Migrations::None => {
            println!("canary: no migration of Durable Objects is pending");
            "canary"
        }
        Migrations::Unknown => {
            println!(
                "canary: Cloudflare does not say at which migration the deployment is; if one is pending, \
                 wrangler refuses the upload and nothing changes"
            );
            "canary"
        }
    };
    tell_github("GITHUB_OUTPUT", &format!("way={way}"))
}

const NO_WAY_BACK: &str = "\
A migration cannot be given to a part of the traffic, and Cloudflare rolls back to no version before it: rolling back ends here.
If this version is bad, the way is forward (docs/releasing.md).";

/// `deploy canary`.
pub(super) fn run(deployer: &Deployer, release: &Release) -> Result<(), String> {
    let deployed = Deployed::now(deployer)?;
    let old = deployed.main()?.to_owned();
    if let Migrations::Pending { deployed, newest } = Migrations::pending(deployer, &old)? {
        return Err(format!(
            "the deployment is at the migration {deployed}, this checkout at {newest}.\n{NO_WAY_BACK}\n\
             Nothing was changed. Deploy it whole: `cargo xtask deploy whole`, or approve the job `whole` of deploy.yml"
        ));
    }
    let new = upload(deployer, release)?;
    let state = place(deployer).join("canary.json");
    let text = json!({ "old": old, "new": new }).to_string();
    fs::write(&state, text).map_err(|error| format!("{}: {error}", state.display()))?;
    roll_back_at_signal(deployer)?;
    let outcome = two_steps(deployer, release, &old, &new);
    process::hold_while_stopping();
    process::at_signal(None);
    if let Err(error) = outcome {
        eprintln!("error: {error}");
        return Err(match roll_back(deployer) {
            Ok(()) => format!("{error}: {new} was rolled back, {old} has all traffic again"),
            Err(again) => format!(
                "{error}, and {new} could not be rolled back: {again}\nDo it at once: npx wrangler rollback {old}"
            ),
        });
    }
    let _ = fs::remove_file(&state);
    let configuration = release.artifact.configure(deployer.root(), None)?.display().to_string();
    deployer.wrangler_shown(&["triggers", "deploy", "--config", &configuration]).map_err(|error| {
        format!("{new} has all traffic and passed, but its cron triggers and routes are not set: {error}")
    })?;
    println!("\n{new} has all traffic. Before it was {old}");
    tell_github("GITHUB_STEP_SUMMARY", &format!("Version `{new}` has all traffic. Before it was `{old}`."))
}

fn upload(deployer: &Deployer, release: &Release) -> Result<String, String> {
    let configuration = release.artifact.configure(deployer.root(), None)?.display().to_string();
    let message = release.message();
    let arguments =
        ["versions", "upload", "--config", &configuration, "--no-bundle", "--tag", "automatic", "--message", &message];
    let entry = deployer.wrangler_entry(&arguments, &place(deployer), "version-upload")?;
    version_id(entry.get("version_id"))
}

fn two_steps(deployer: &Deployer, release: &Release, old: &str, new: &str) -> Result<(), String> {
    split(deployer, &[(old, 100 - FIRST), (new, FIRST)], "a tenth for the new version")?;
    release.smoke(deployer, Some(new))?;
    split(deployer, &[(new, 100)], "the new version passed")?;
    release.smoke(deployer, None)
}

/// The old version first, as before: then each Durable Object changes its version once at most.
/// <https://developers.cloudflare.com/workers/versions-and-deployments/gradual-deployments/with-durable-objects/>
fn split(deployer: &Deployer, versions: &[(&str, u32)], why: &str) -> Result<(), String> {
    let name = artifact::worker_name(deployer.root())?;
    let shares: Vec<String> = versions.iter().map(|(id, share)| format!("{id}@{share}")).collect();
    let mut arguments = vec!["versions", "deploy"];
    arguments.extend(shares.iter().map(String::as_str));
    arguments.extend(["--name", &name, "--message", why, "--yes"]);
    deployer.wrangler_shown(&arguments)
}

/// After a signal, a process of its own rolls back: the one that was deploying has been ended.
fn roll_back_at_signal(deployer: &Deployer) -> Result<(), String> {
    let own = process::own()?;
    let root = deployer.root().to_path_buf();
    process::at_signal(Some(Box::new(move || {
        let mut command = Command::new(own);
        command.args(["deploy", "roll-back"]).current_dir(&root).env_remove("CARGO_MANIFEST_DIR");
        // A second signal from the terminal does not reach it.
        let _ = command.process_group(0).stdin(Stdio::null()).status();
    })));
    Ok(())
}

/// `deploy roll-back`: gives all traffic to the old version where a canary was left half done, and does nothing where none was.
pub(super) fn roll_back(deployer: &Deployer) -> Result<(), String> {
    let state = place(deployer).join("canary.json");
    let deployed = Deployed::now(deployer)?;
    let old = match fs::read(&state) {
        Ok(text) => {
            let state: Value =
                serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", state.display()))?;
            version_id(state.get("old"))?
        }
        Err(_) => deployed.main()?.to_owned(),
    };
    if deployed.is_only(&old) {
        println!("nothing to roll back: {old} has all traffic");
    } else {
        println!("rolling back to {old}");
        split(deployer, &[(&old, 100)], "rolled back")?;
        tell_github("GITHUB_STEP_SUMMARY", &format!("Rolled back: version `{old}` has all traffic."))?;
    }
    let _ = fs::remove_file(&state);
    Ok(())
}

/// `deploy whole`: all traffic at once.
pub(super) fn whole(deployer: &Deployer, release: &Release) -> Result<(), String> {
    let old = Deployed::now(deployer).and_then(|deployed| deployed.main().map(str::to_owned)).ok();
    let can_go_back = match &old {
        Some(old) => matches!(Migrations::pending(deployer, old)?, Migrations::None),
        None => false,
    };
    if !can_go_back {
        println!("{NO_WAY_BACK}");
    }
    let configuration = release.artifact.configure(deployer.root(), None)?.display().to_string();
    let message = release.message();
    let arguments = ["deploy", "--config", &configuration, "--no-bundle", "--message", &message];
    let entry = deployer.wrangler_entry(&arguments, &place(deployer), "deploy")?;
    let new = version_id(entry.get("version_id"))?;
    if let Err(error) = release.smoke(deployer, None) {
        return Err(match old.filter(|_| can_go_back) {
            Some(old) => {
                split(deployer, &[(&old, 100)], "rolled back")?;
                format!("{error}: {new} was rolled back, {old} has all traffic again")
            }
            None => format!("{error}, and {new} has all traffic.\n{NO_WAY_BACK}"),
        });
    }
    println!("\n{new} has all traffic");
    let note = if can_go_back { "" } else { " It carried out a migration: rolling back ends here." };
    tell_github("GITHUB_STEP_SUMMARY", &format!("Version `{new}` has all traffic.{note}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "dc8dcd28-271b-4367-9840-6c244f84cb40";
    const NEW: &str = "db7cd8d3-4425-4fe7-8c81-01bf963b6067";

    #[test]
    fn the_old_version_is_the_one_with_most_of_the_traffic() {
        let read = |versions: Value| Deployed::read(&json!({ "id": "x", "versions": versions }));
        let split = json!([{ "version_id": NEW, "percentage": 10 }, { "version_id": OLD, "percentage": 90 }]);
        let split = read(split).expect("two versions");
        assert_eq!(split.main(), Ok(OLD));
        assert!(!split.is_only(OLD), "a part is not all");
        let one = read(json!([{ "version_id": NEW, "percentage": 100 }])).expect("one version");
        assert!(one.is_only(NEW) && !one.is_only(OLD));
        assert!(read(json!([])).expect("none").main().is_err());
        assert!(read(json!([{ "version_id": "--yes", "percentage": 100 }])).is_err(), "it would be an argument");
        assert!(read(json!([{ "version_id": OLD }])).is_err());
    }
}
