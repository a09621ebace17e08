//! `cargo xtask audit`: whether what this project depends on may be used, and is known to be broken.

use std::path::Path;

use crate::{
    cache::Cache,
    process,
    programs::Program,
    setup::{self, Part},
};

/// A gate, and whether it asks a database that is not part of the checkout.
struct Gate {
    name: &'static str,
    what: &'static str,
    /// Why it cannot run with `--offline`.
    database: Option<&'static str>,
}

/// What cargo-deny calls them, and npm's.
const GATES: [Gate; 5] = [
    Gate { name: "licenses", what: "licences of the crates", database: None },
    Gate { name: "bans", what: "crates that are not wanted, or twice", database: None },
    Gate { name: "sources", what: "where the crates come from", database: None },
    Gate {
        name: "advisories",
        what: "known faults of the crates",
        database: Some("https://github.com/rustsec/advisory-db"),
    },
    Gate { name: NPM, what: "known faults of the npm packages", database: Some("the npm registry") },
];

const NPM: &str = "npm audit";

/// Runs every gate; with `--offline` those that need no database, and says which it has left out. Whether all that ran passed.
pub(crate) fn run(root: &Path, flags: &[&str]) -> Result<bool, String> {
    let offline = match flags {
        [] => false,
        ["--offline"] => true,
        _ => return Err("usage: cargo xtask audit [--offline]".to_owned()),
    };
    let parts: &[Part] = if offline { &[] } else { &[Part::Npm] };
    let tools = setup::run(root, parts)?;
    let cache = Cache::locate()?;
    let deny = Program::cargo_deny();
    deny.install(root, &cache, "tool")?;
    let (mut failed, mut left_out) = (Vec::new(), Vec::new());
    for gate in GATES {
        println!("\n==== {}: {} ====", gate.name, gate.what);
        match gate.database {
            Some(database) if offline => {
                println!("NOT RUN: --offline was given, and this asks {database}");
                left_out.push(gate.name);
                continue;
            }
            _ => {}
        }
        let success = if gate.name == NPM {
            let mut command = tools.command("npm");
            // A low one is shown; from moderate on it is a failure.
            command.args(["audit", "--audit-level=moderate"]);
            let ran = process::shown(NPM, &mut command)?;
            // A registry without advisories must not count as one that knows of none.
            ran.success && ran.lines.iter().any(|line| line.contains("vulnerabilit"))
        } else {
            let mut command = tools.command(deny.path(&cache));
            command.args(["--locked"]);
            if gate.database.is_none() {
                command.arg("--offline");
            }
            command.args(["check", "--hide-inclusion-graph", gate.name]);
            process::shown(gate.name, &mut command)?.success
        };
        println!("{} {}", if success { "ok" } else { "not ok" }, gate.name);
        if !success {
            failed.push(gate.name);
        }
    }
    println!("\n{}", verdict(&failed, &left_out));
    Ok(failed.is_empty())
}

/// The last line: it never says that all is well where a gate was left out.
fn verdict(failed: &[&str], left_out: &[&str]) -> String {
    let passed = GATES.len() - failed.len() - left_out.len();
    let mut line = format!("{passed} of {} gates passed", GATES.len());
    for (what, names) in [("failed", failed), ("not run (--offline)", left_out)] {
        if !names.is_empty() {
            line.push_str(&format!("; {what}: {}", names.join(", ")));
        }
    }
    if !failed.is_empty() {
        line.push_str(
            ". A database that could not be reached is a failure too: read above. What cannot be mended at once is let through in \
             deny.toml, with the reason and until when",
        );
    }
    line
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        env, fs,
        path::PathBuf,
        process::Command,
    };

    use serde_json::Value;
    use spdx::{Expression, Licensee, ParseMode};
    use toml_edit::{DocumentMut, Item};

    use super::*;

    fn root() -> PathBuf {
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo")).join("..")
    }

    fn text(name: &str) -> String {
        fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn toml(name: &str) -> DocumentMut {
        text(name).parse().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn json(name: &str) -> Value {
        serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[test]
    fn what_was_left_out_is_said_and_never_counted() {
        let all = verdict(&[], &[]);
        assert_eq!(all, "5 of 5 gates passed");
        let some = verdict(&[], &["advisories", NPM]);
        assert_eq!(some, "3 of 5 gates passed; not run (--offline): advisories, npm audit");
        let bad = verdict(&["licenses"], &["advisories", NPM]);
        assert!(bad.starts_with("2 of 5 gates passed; failed: licenses; not run (--offline): "), "{bad}");
        assert!(run(Path::new("/"), &["--quiet"]).is_err(), "an unknown flag is not --offline");
    }

    /// The licences of `deny.toml`: those for every crate, and those for one.
    fn allowed(rules: &DocumentMut) -> (Vec<Licensee>, BTreeMap<String, Vec<Licensee>>) {
        let licensees = |list: &Item| {
            let list = list.as_array().expect("a list");
            let parsed =
                list.iter().map(|name| Licensee::parse(name.as_str().expect("text")).expect("a licence of SPDX"));
            parsed.collect::<Vec<_>>()
        };
        let exceptions = rules["licenses"]["exceptions"].as_array().expect("a list").iter().map(|exception| {
            let exception = exception.as_inline_table().expect("a table");
            let name = exception.get("crate").and_then(|name| name.as_str()).expect("a crate").to_owned();
            (name, licensees(&Item::Value(exception.get("allow").expect("licences").clone())))
        });
        (licensees(&rules["licenses"]["allow"]), exceptions.collect())
    }

    /// What cargo-deny holds it to as well; but that takes minutes to build, and this runs with every test.
    #[test]
    fn crates_come_from_crates_io_under_licences_that_are_allowed() {
        let rules = toml("deny.toml");
        let (everywhere, exceptions) = allowed(&rules);
        let registry = rules["sources"]["allow-registry"][0].as_str().expect("a registry");
        let targets = rules["graph"]["targets"].as_array().expect("a list").iter();
        let targets: Vec<&str> = targets.map(|target| target.as_str().expect("text")).collect();
        let mut command = Command::new(env::var_os("CARGO").expect("cargo"));
        command.current_dir(root()).args(["metadata", "--quiet", "--locked", "--format-version", "1"]);
        for target in targets {
            command.args(["--filter-platform", target]);
        }
        let metadata: Value = serde_json::from_str(&process::output(&mut command).expect("metadata")).expect("JSON");
        let mut seen = 0;
        for package in metadata["packages"].as_array().expect("packages") {
            let name = package["name"].as_str().expect("a name");
            let Some(source) = package["source"].as_str() else {
                assert_eq!(package["license"], "Apache-2.0", "{name} is of this workspace");
                continue;
            };
            assert_eq!(source, format!("registry+{registry}"), "{name}");
            let for_it = exceptions.get(name).into_iter().flatten();
            let licences: Vec<&Licensee> = everywhere.iter().chain(for_it).collect();
            let spec = format!("{name}@{}", package["version"].as_str().expect("a version"));
            let clarified =
                rules["licenses"]["clarify"].as_array_of_tables().expect("tables").iter().find_map(|clarified| {
                    let is_it = clarified["crate"].as_str() == Some(&spec);
                    is_it.then(|| clarified["expression"].as_str()).flatten()
                });
            let licence = clarified.or_else(|| package["license"].as_str());
            let licence = licence.unwrap_or_else(|| panic!("{spec} names no licence, and deny.toml says none"));
            let expression = Expression::parse_mode(licence, ParseMode::LAX);
            let expression = expression.unwrap_or_else(|error| panic!("{name}: {licence}: {error}"));
            let fits = expression.evaluate(|wanted| licences.iter().any(|licence| licence.satisfies(wanted)));
            assert!(fits, "{name}: deny.toml does not allow {licence}");
            seen += 1;
        }
        assert!(seen > 200, "the test saw {seen} crates: it looks in the wrong place");
    }

    /// Packages whose install scripts are known. None of them runs: npm is told so twice, in `.npmrc` and by `cargo xtask setup`. Those of
    /// esbuild and workerd make the program start faster; the inspector's does nothing in a package that was installed.
    const WITH_SCRIPTS: [&str; 3] = ["@modelcontextprotocol/inspector", "esbuild", "workerd"];

    #[test]
    fn npm_packages_have_hashes_and_run_nothing_when_installed() {
        assert!(text(".npmrc").lines().any(|line| line == "ignore-scripts=true"));
        assert!(text("xtask/src/setup.rs").contains("\"ci\", \"--ignore-scripts\""));
        let lock = json("package-lock.json");
        let mut scripts = BTreeSet::new();
        let mut seen = 0;
        for (path, package) in lock["packages"].as_object().expect("packages") {
            let Some((_, name)) = path.rsplit_once("node_modules/") else {
                assert!(path.is_empty() || package["link"] == true, "{path} is no package");
                continue;
            };
            let hash = package["integrity"].as_str().unwrap_or_else(|| {
                panic!("{name} has no hash: add that of `npm view {name}@VERSION dist.integrity` to package-lock.json")
            });
            // 64 bytes in base64.
            assert!(hash.starts_with("sha512-") && hash.len() == 95 && hash.ends_with("=="), "{name}: {hash}");
            // .npmrc leaves out the address of what comes from the registry: one that is there is another place.
            let elsewhere = &package["resolved"];
            assert!(elsewhere.is_null(), "{name} comes from {elsewhere}");
            if package["hasInstallScript"] == true {
                scripts.insert(name);
            }
            seen += 1;
        }
        assert_eq!(scripts, WITH_SCRIPTS.into(), "look at what a new one does, then name it in WITH_SCRIPTS");
        assert!(seen > 200, "the test saw {seen} packages: it looks in the wrong place");
    }

    #[test]
    fn crates_of_the_lock_file_have_hashes() {
        let lock = toml("Cargo.lock");
        let packages = lock["package"].as_array_of_tables().expect("packages");
        for package in packages.iter().filter(|package| package.contains_key("source")) {
            let sum = package.get("checksum").and_then(|sum| sum.as_str()).unwrap_or_default();
            assert_eq!(sum.len(), 64, "{}", package["name"]);
        }
        assert!(packages.len() > 200, "{} packages: the test looks in the wrong place", packages.len());
    }

    /// Names in the first column of the tables of a section, each with a reason in the second.
    fn rows(section: &str) -> BTreeSet<&str> {
        let cells = |row: &'_ str| row.split('|').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
        let lines = section.lines().filter(|line| line.starts_with("| `"));
        lines
            .map(|line| {
                assert!(cells(line).get(2).is_some_and(|why| why.len() > 10), "{line}: why is it there?");
                line.split('`').nth(1).expect("a name")
            })
            .collect()
    }

    fn names(item: Option<&Item>) -> Vec<(String, Option<String>)> {
        let tables = item.and_then(Item::as_table_like).into_iter();
        let version = |item: &Item| {
            let version = item.as_str().or_else(|| item.get("version").and_then(Item::as_str));
            version.map(str::to_owned).filter(|_| item.get("path").is_none())
        };
        tables
            .flat_map(|table| table.iter().map(|(name, item)| (name.to_owned(), version(item))).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn every_direct_dependency_is_pinned_and_has_its_reason() {
        let document = text("docs/dependencies.md");
        let section = |heading: &str| {
            let after = document.split_once(&format!("\n## {heading}\n")).map(|(_, after)| after);
            let after = after.unwrap_or_else(|| panic!("docs/dependencies.md has no section {heading}"));
            after.split_once("\n## ").map_or(after, |(section, _)| section)
        };
        let (server, sandbox, xtask) = (toml("Cargo.toml"), toml("sandbox/Cargo.toml"), toml("xtask/Cargo.toml"));
        let of_wasm = server["target"].get("cfg(target_arch = \"wasm32\")").and_then(|table| table.get("dependencies"));
        let counted = toml("tests/instructions/Cargo.toml");
        let of_tests = [server.get("dev-dependencies"), counted.get("dev-dependencies")].map(names).concat();
        let of_npm = json("package.json");
        let of_npm = ["devDependencies", "optionalDependencies", "dependencies"].iter().flat_map(|kind| {
            let packages = of_npm[*kind].as_object().into_iter().flatten();
            packages.map(|(name, version)| (name.clone(), version.as_str().map(|version| format!("={version}"))))
        });
        let sections = [
            ("In the Worker", names(server.get("dependencies")), vec![]),
            ("In the Worker, for wasm32 only", names(of_wasm), vec![]),
            ("For tests", of_tests, vec![]),
            ("Sandbox", names(sandbox.get("dependencies")), names(sandbox.get("dev-dependencies"))),
            ("Commands (`xtask`)", names(xtask.get("dependencies")), names(xtask.get("dev-dependencies"))),
            ("npm, for development only", of_npm.collect(), vec![]),
        ];
        for (heading, wanted, of_tests) in sections {
            let section = section(heading);
            let listed = rows(section);
            assert!(!wanted.is_empty(), "{heading}: the test looks in the wrong place");
            for (name, version) in wanted.iter().chain(&of_tests) {
                let exact = |version: &String| {
                    let number = version.strip_prefix('=').unwrap_or_default();
                    number.split('.').count() >= 3
                        && number.starts_with(|first: char| first.is_ascii_digit())
                        && !number.contains(' ')
                };
                assert!(
                    version.as_ref().is_none_or(exact),
                    "{heading}: {name} has to be of one version, not {version:?}"
                );
            }
            for (name, _) in &wanted {
                assert!(listed.contains(name.as_str()), "docs/dependencies.md, {heading}: why is {name} there?");
            }
            for (name, _) in &of_tests {
                assert!(
                    section.contains(&format!("`{name}`")),
                    "docs/dependencies.md, {heading}: what do tests use {name} for?"
                );
            }
            for name in listed {
                let known = wanted.iter().chain(&of_tests).any(|(known, _)| known == name);
                assert!(known, "docs/dependencies.md, {heading}: {name} is no dependency any more");
            }
        }
    }
}
