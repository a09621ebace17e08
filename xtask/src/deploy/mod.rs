//! `cargo xtask deploy` and `publish`: what the workflows of `.github/workflows` do with a deployment, and what a person can do
//! by hand with the same commands.
//!
//! A workflow calls one of these commands and holds no logic of its own, so that all of it runs, and is tested, on any machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    process::{self, Ran},
    setup::{self, Part, Tools},
};

mod artifact;
mod canary;
mod github;
mod preview;
mod publish;

pub(crate) use publish::command as publish;

/// `cargo xtask deploy WHAT --flags`.
pub(crate) fn command(root: &Path, words: &[&str]) -> Result<(), String> {
    let (what, flags) = words.split_first().ok_or_else(usage)?;
    let allowed: &[&str] = match *what {
        "plan" => &[],
        "canary" | "whole" => &["--url", "--artifact", "--commit", "--smoke"],
        "roll-back" => &[],
        "preview" => &["--number", "--artifact", "--smoke"],
        "remove" => &["--number"],
        "pull-request" => &["--smoke"],
        _ => return Err(usage()),
    };
    let flags = Flags::parse(flags, allowed)?;
    let deployer = Deployer { tools: setup::run(root, &[Part::Npm])?, smoke: flags.get("--smoke").map(PathBuf::from) };
    match *what {
        "plan" => canary::plan(&deployer),
        "canary" => canary::run(&deployer, &canary::Release::read(&deployer, &flags)?),
        "whole" => canary::whole(&deployer, &canary::Release::read(&deployer, &flags)?),
        "roll-back" => canary::roll_back(&deployer),
        "preview" => {
            let keys = preview::Keys::from_environment()?;
            let artifact = flags.needed("--artifact").map(Path::new)?;
            preview::deploy(&deployer, preview::number(flags.needed("--number")?)?, artifact, &keys).map(|_| ())
        }
        "remove" => preview::remove(&deployer, preview::number(flags.needed("--number")?)?),
        _ => preview::pull_request(&deployer),
    }
}

fn usage() -> String {
    "deploy what? plan, canary, whole, roll-back, preview, remove or pull-request: `cargo xtask` shows their flags"
        .to_owned()
}

/// `--name value` pairs.
struct Flags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Flags<'a> {
    fn parse(words: &[&'a str], allowed: &[&str]) -> Result<Self, String> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let mut rest = words.iter();
        while let Some(name) = rest.next() {
            if !allowed.contains(name) || pairs.iter().any(|(known, _)| known == name) {
                return Err(format!("{name} is unknown here, or given twice; there are: {}", allowed.join(" ")));
            }
            let value = rest.next().filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} needs a value"))?;
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn needed(&self, name: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("{name} is missing"))
    }
}

/// A setting of the environment that has to be there.
fn variable(name: &str) -> Result<String, String> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
        format!("{name} is not set: docs/releasing.md says which settings and secrets an environment needs")
    })
}

/// What the children of this program are not shown unless it is theirs: the token for Cloudflare is wrangler's alone, the one for
/// GitHub is gh's, and keys of smoke tests belong to the smoke tests.
const SECRETS: [&str; 11] = [
    "CLOUDFLARE_API_TOKEN",
    "CLOUDFLARE_API_KEY",
    "CLOUDFLARE_EMAIL",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "SMOKE_ACCESS_KEY",
    "SMOKE_PUBLIC_KEY",
    "SMOKE_PRIVATE_KEY",
    "PREVIEW_ACCESS_KEY",
    "PREVIEW_PUBLIC_KEY",
    "PREVIEW_PRIVATE_KEY",
];

/// Takes every secret from a command's environment but those that begin with one of `kept`.
fn keep_only(command: &mut Command, kept: &[&str]) {
    for name in SECRETS.into_iter().filter(|name| !kept.iter().any(|kept| name.starts_with(kept))) {
        command.env_remove(name);
    }
}

/// The programs that deploy.
struct Deployer {
    tools: Tools,
    /// Runs in place of this program's own smoke tests, with the same arguments.
    smoke: Option<PathBuf>,
}

impl Deployer {
    fn root(&self) -> &Path {
        self.tools.root()
    }

    fn wrangler(&self, arguments: &[&str]) -> Command {
        let mut command = self.tools.wrangler();
        command.args(arguments);
        keep_only(&mut command, &["CLOUDFLARE_"]);
        command
    }

    /// Runs wrangler, shows what it says, and returns the entries of its output file that are of this type.
    /// <https://github.com/cloudflare/workers-sdk/blob/main/packages/wrangler/src/output.ts>
    fn wrangler_entry(&self, arguments: &[&str], place: &Path, entry: &str) -> Result<Value, String> {
        let output = place.join(format!("{entry}.ndjson"));
        // wrangler adds to it.
        let _ = fs::remove_file(&output);
        let mut command = self.wrangler(arguments);
        command.env("WRANGLER_OUTPUT_FILE_PATH", &output);
        succeeded(arguments, &process::shown("wrangler", &mut command)?)?;
        let lines = fs::read_to_string(&output).map_err(|error| format!("{}: {error}", output.display()))?;
        let mut entries = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries
            .find(|found| found.get("type").and_then(Value::as_str) == Some(entry))
            .ok_or_else(|| format!("wrangler says nothing of type {entry} in its output file"))
    }

    /// Runs wrangler and shows what it says.
    fn wrangler_shown(&self, arguments: &[&str]) -> Result<(), String> {
        succeeded(arguments, &process::shown("wrangler", &mut self.wrangler(arguments))?)
    }

    /// What wrangler prints as JSON.
    fn wrangler_json(&self, arguments: &[&str]) -> Result<Value, String> {
        let printed = process::output(&mut self.wrangler(arguments))?;
        // A notice may stand before it.
        let json = printed.find('{').and_then(|at| printed.get(at..)).unwrap_or_default();
        serde_json::from_str(json).map_err(|error| format!("wrangler {}: {error}", arguments.join(" ")))
    }

    /// `cargo xtask smoke` with these arguments; whether all of it passed.
    fn smoke(&self, arguments: &[&str], access_key: Option<&str>) -> Result<bool, String> {
        let mut command = match &self.smoke {
            Some(program) => self.tools.command(program),
            None => {
                let own = process::own()?;
                self.tools.command(own)
            }
        };
        command.arg("smoke").args(arguments);
        keep_only(&mut command, &["SMOKE_"]);
        // A workflow sets a secret that an environment lacks to nothing.
        for name in SECRETS.into_iter().filter(|name| env::var_os(name).is_some_and(|value| value.is_empty())) {
            command.env_remove(name);
        }
        if let Some(key) = access_key {
            command.env("SMOKE_ACCESS_KEY", key);
        }
        println!("\n---- smoke {} ----", arguments.join(" "));
        process::shown("the smoke tests", &mut command).map(|ran| ran.success)
    }
}

fn succeeded(arguments: &[&str], ran: &Ran) -> Result<(), String> {
    if ran.success {
        return Ok(());
    }
    let what: Vec<&str> = arguments.iter().copied().take_while(|word| !word.starts_with('-')).collect();
    Err(format!("wrangler {} failed: what it says is above", what.join(" ")))
}

/// The id of a version, as Cloudflare writes it: it becomes an argument and a header.
fn version_id(value: Option<&Value>) -> Result<String, String> {
    let id = value.and_then(Value::as_str).unwrap_or_default();
    let is_uuid = id.len() == 36
        && id.chars().enumerate().all(|(at, character)| match at {
            8 | 13 | 18 | 23 => character == '-',
            _ => character.is_ascii_hexdigit() && !character.is_ascii_uppercase(),
        });
    if is_uuid { Ok(id.to_owned()) } else { Err(format!("{id:?} is no id of a version")) }
}

/// The address of a deployment, without a path.
fn origin(text: &str) -> Result<&str, String> {
    let host = text.strip_prefix("https://").map(|host| host.trim_end_matches('/')).unwrap_or_default();
    let is_host = host.contains('.')
        && host.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '.' | '-'));
    if is_host {
        Ok(text.trim_end_matches('/'))
    } else {
        Err(format!("{text:?} is no address of a deployment: give it as https://HOST"))
    }
}

/// Writes a line into one of the files by which a step tells GitHub something, if there is one.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#environment-files>
fn tell_github(file: &str, line: &str) -> Result<(), String> {
    let Some(path) = env::var_os(file).filter(|path| !path.is_empty()).map(PathBuf::from) else { return Ok(()) };
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    text.push_str(line);
    text.push('\n');
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_uuid_is_the_id_of_a_version() {
        let id = "dc8dcd28-271b-4367-9840-6c244f84cb40";
        assert_eq!(version_id(Some(&json!(id))).as_deref(), Ok(id));
        let others = ["", "latest", "dc8dcd28-271b-4367-9840-6c244f84cb4", "dc8dcd28-271b-4367-9840-6c244f84cb40@100"];
        for other in others.map(|other| json!(other)).iter().chain([&json!(7)]) {
            assert!(version_id(Some(other)).is_err(), "{other}");
        }
        assert!(version_id(None).is_err());
    }

    #[test]
    fn an_address_has_https_a_host_and_nothing_else() {
        assert_eq!(origin("https://mcp.example.com/"), Ok("https://mcp.example.com"));
        for other in
            ["http://mcp.example.com", "https://", "https://a.example/mcp", "https://u:p@a.example", "a.example"]
        {
            assert!(origin(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_flag_is_known_given_once_and_has_a_value() {
        let parse = |words: &[&'static str]| Flags::parse(words, &["--number"]);
        assert_eq!(parse(&["--number", "7"]).expect("flags").get("--number"), Some("7"));
        for wrong in [&["--number"][..], &["--number", ""], &["--other", "7"], &["--number", "7", "--number", "8"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse(&[]).expect("none").needed("--number").is_err());
    }
}
