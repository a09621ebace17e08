//! The notes of a release: what `CHANGELOG.md` says about its version, as <https://keepachangelog.com/en/1.1.0/> writes it.

/// Where the next version's changes are kept.
const UNRELEASED: &str = "Unreleased";

/// The section of `version`. With a tag, which has to be of this version, the section has to be there with a date; without one this is
/// a rehearsal, and what is not released yet will do.
pub(super) fn of(changelog: &str, version: &str, tag: Option<&str>) -> Result<String, String> {
    if let Some(tag) = tag.filter(|tag| tag.strip_prefix('v') != Some(version)) {
        return Err(format!("the tag is {tag} and Cargo.toml says {version}: the tag has to be v{version}"));
    }
    let (found, heading) = match (section(changelog, version), tag) {
        (Some(found), _) => found,
        (None, None) => section(changelog, UNRELEASED)
            .ok_or_else(|| format!("CHANGELOG.md has neither a section {version} nor one {UNRELEASED}"))?,
        (None, Some(_)) => {
            return Err(format!("CHANGELOG.md has no section {version}: name {UNRELEASED} so, with the date"));
        }
    };
    if tag.is_some() && !heading.split(' ').any(is_date) {
        return Err(format!(
            "the section of CHANGELOG.md has no date: `## {heading}` has to be `## [{version}] - YYYY-MM-DD`"
        ));
    }
    let text = found.trim();
    // Headings alone tell a user nothing.
    if text.lines().all(|line| line.trim().is_empty() || line.starts_with('#')) {
        return Err(format!("the section `{heading}` of CHANGELOG.md is empty: what is new for a user?"));
    }
    Ok(format!("{text}\n"))
}

/// The text under a heading `## [NAME] …` or `## NAME, …`, and that heading.
fn section<'t>(changelog: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    let is_heading = |line: &str| line.starts_with("## ");
    let mut start = None;
    let mut at = 0;
    for line in changelog.split_inclusive('\n') {
        match start {
            Some((from, heading)) if is_heading(line) => return Some((changelog.get(from..at)?, heading)),
            None if is_heading(line) => {
                let heading = line.trim_start_matches("## ").trim_end();
                let first = heading.split([' ', ',']).next().unwrap_or_default().trim_matches(['[', ']']);
                if first == name {
                    start = Some((at + line.len(), heading));
                }
            }
            _ => {}
        }
        at += line.len();
    }
    start.and_then(|(from, heading)| Some((changelog.get(from..)?, heading)))
}

/// Whether a word is `2026-11-27`.
fn is_date(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2] && parts.iter().all(|part| part.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::of;

    const CHANGELOG: &str = "# Changelog\n\n## [Unreleased]\n\n- Not yet.\n\n## [0.10.0] - 2026-12-01\n\n### Added\n\n- Ten.\n\n\
                             ## [0.1.0] - 2026-11-27\n\n### Added\n\n- One.\n";

    #[test]
    fn notes_are_of_the_version_and_nothing_else() {
        assert_eq!(of(CHANGELOG, "0.1.0", Some("v0.1.0")), Ok("### Added\n\n- One.\n".to_owned()), "not of 0.10.0");
        assert_eq!(of(CHANGELOG, "0.10.0", Some("v0.10.0")), Ok("### Added\n\n- Ten.\n".to_owned()));
        let old = "# Changelog\n\n## 0.1.0, unreleased\n\nThe first.\n";
        assert_eq!(of(old, "0.1.0", None), Ok("The first.\n".to_owned()));
        assert!(of(old, "0.1.0", Some("v0.1.0")).is_err_and(|error| error.contains("date")), "not released");
    }

    #[test]
    fn a_tag_is_of_this_version() {
        for tag in ["v0.1.1", "0.1.0", "v0.1.0-rc1", "v0.10.0", ""] {
            let error = of(CHANGELOG, "0.1.0", Some(tag)).expect_err(tag);
            assert!(error.contains("v0.1.0"), "{error}");
        }
    }

    #[test]
    fn no_release_without_a_word_about_it() {
        assert!(of(CHANGELOG, "0.2.0", Some("v0.2.0")).is_err_and(|error| error.contains("no section 0.2.0")));
        assert_eq!(of(CHANGELOG, "0.2.0", None), Ok("- Not yet.\n".to_owned()), "a rehearsal");
        for empty in ["## [0.1.0] - 2026-11-27\n", "## [0.1.0] - 2026-11-27\n\n### Added\n\n## [0.0.9]\n\n- Old.\n"] {
            assert!(of(empty, "0.1.0", Some("v0.1.0")).is_err_and(|error| error.contains("empty")), "{empty}");
        }
        assert!(of("# Changelog\n", "0.1.0", None).is_err());
    }
}
