//! `cargo xtask newest`: the programs that users connect with, in the versions that users have today.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    process,
    setup::{self, Part},
    test::Directory,
};

/// What the suite `clients` connects with, and what checks conformance.
const CLIENTS: [&str; 8] = [
    "@modelcontextprotocol/client",
    "@modelcontextprotocol/conformance",
    "@modelcontextprotocol/inspector",
    "@modelcontextprotocol/sdk",
    "@tidbcloud/serverless",
    "drizzle-orm",
    "mcp-remote",
    "mysql2",
];

/// Raises them in `package.json` and its lock file; the next command installs them.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    const FILES: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];
    let before = versions(root)?;
    let tools = setup::run(root, &[Part::Npm])?;
    // In a folder of its own: npm would write into node_modules, which all checkouts share, what is not installed there.
    let place = Directory::temporary();
    let copy = |from: &Path, to: &Path| fs::copy(from, to).map_err(|error| format!("{}: {error}", from.display()));
    fs::create_dir_all(&place.0).map_err(|error| format!("{}: {error}", place.0.display()))?;
    for file in FILES {
        copy(&root.join(file), &place.0.join(file))?;
    }
    let mut command = tools.command("npm");
    command
        .current_dir(&place.0)
        .args(["install", "--package-lock-only", "--save-dev", "--save-exact", "--ignore-scripts"])
        // Not `latest`: of what is pinned before its first release that is an older one.
        .args(CLIENTS.iter().zip(&before).map(|(name, version)| format!("{name}@>={version}")));
    if !process::shown("npm", &mut command)?.success {
        return Err("npm does not find the newest versions".to_owned());
    }
    for file in FILES.iter().take(2) {
        copy(&place.0.join(file), &root.join(file))?;
    }
    let after = versions(root)?;
    for (name, (old, new)) in CLIENTS.iter().zip(before.iter().zip(&after)) {
        let arrow = if old == new { String::new() } else { format!(" -> {new}") };
        println!("{name:<36} {old}{arrow}");
    }
    println!(
        "`cargo xtask test clients` tests with them; `git checkout package.json package-lock.json` takes them back"
    );
    Ok(())
}

fn versions(root: &Path) -> Result<Vec<String>, String> {
    let path = root.join("package.json");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read(&path).map_err(|error| told(&error))?;
    let package: Value = serde_json::from_slice(&text).map_err(|error| told(&error))?;
    let version = |name: &&str| {
        let found = package.get("devDependencies").and_then(|all| all.get(*name)).and_then(Value::as_str);
        found.map(str::to_owned).ok_or_else(|| told(&format!("no {name}: bring xtask/src/newest.rs up to date")))
    };
    CLIENTS.iter().map(version).collect()
}
