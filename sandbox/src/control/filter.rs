//! The filter of `GET /v1beta1/clusters`: the subset of AIP-160 that is published, `=` and `AND`.

use super::state::{Cluster, PROJECTS};

/// The compared field.
#[derive(Debug, PartialEq, Eq)]
enum Field {
    Provider,
    Region,
    State,
    Project,
    Id,
    DisplayName,
    Label(String),
}

/// A filter: all conditions hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(Vec<(Field, String)>);

/// A piece of a filter.
#[derive(Clone, PartialEq, Eq)]
enum Token {
    /// A bare word, or a quoted text.
    Text {
        text: String,
        quoted: bool,
    },
    Equals,
    Dot,
}

/// Cuts a filter into pieces. A bare word ends at blanks, quotes, and `=`; dots separate only in field names, so they stay in
/// bare words and are taken apart there.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            blank if blank.is_whitespace() => {}
            '=' => found.push(Token::Equals),
            '.' => found.push(Token::Dot),
            '"' | '\'' => {
                let mut quoted = String::new();
                loop {
                    match rest.next().ok_or("a quoted value does not end")? {
                        '\\' => quoted.push(rest.next().ok_or("a quoted value does not end")?),
                        end if end == next => break,
                        other => quoted.push(other),
                    }
                }
                found.push(Token::Text { text: quoted, quoted: true });
            }
            first if is_word(first) => {
                let mut word = String::from(first);
                while let Some(more) = rest.next_if(|next| is_word(*next) || *next == '.') {
                    word.push(more);
                }
                let dotted = word.ends_with('.');
                if dotted {
                    word.pop();
                }
                found.push(Token::Text { text: word, quoted: false });
                if dotted {
                    found.push(Token::Dot);
                }
            }
            other => return Err(format!("unexpected `{other}`")),
        }
    }
    Ok(found)
}

/// Whether `letter` may stand in a bare word.
fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || "_-/,:@".contains(letter)
}

impl Filter {
    /// Reads a filter; an empty one lets everything pass.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut conditions = Vec::new();
        let mut rest = tokens.as_slice();
        while !rest.is_empty() {
            if !conditions.is_empty() {
                rest = match rest {
                    [Token::Text { text, quoted: false }, tail @ ..] if text == "AND" => tail,
                    _ => return Err("conditions are joined with AND".to_owned()),
                };
            }
            let (name, label, tail) = match rest {
                [Token::Text { text, quoted: false }, Token::Dot, Token::Text { text: label, .. }, tail @ ..]
                    if text == "labels" =>
                {
                    ("labels", Some(label.clone()), tail)
                }
                [Token::Text { text, quoted: false }, tail @ ..] => match text.split_once('.') {
                    Some(("labels", label)) => ("labels", Some(label.to_owned()), tail),
                    _ => (text.as_str(), None, tail),
                },
                _ => return Err("a condition begins with a field".to_owned()),
            };
            let [Token::Equals, Token::Text { text: value, .. }, tail @ ..] = tail else {
                return Err(format!("`{name}` is not followed by = and a value"));
            };
            conditions.push((field(name, label, value)?, value.clone()));
            rest = tail;
        }
        Ok(Self(conditions))
    }

    /// Whether `cluster` passes.
    pub(super) fn admits(&self, cluster: &Cluster, now: u64) -> bool {
        self.0.iter().all(|(field, value)| match field {
            Field::Provider => cluster.region.provider == value,
            Field::Region => cluster.region.name() == *value,
            Field::State => cluster.state(now) == value,
            Field::Project => value.split(',').any(|id| id.trim() == cluster.project),
            Field::Id => value.split(',').any(|id| id.trim() == cluster.id),
            Field::DisplayName => cluster.settings.display_name == *value,
            Field::Label(key) => match key.as_str() {
                "tidb.cloud/organization" => cluster.organization == value,
                "tidb.cloud/project" => cluster.project == *value,
                key => cluster.settings.labels.get(key) == Some(value),
            },
        })
    }
}

/// Reads a field, and refuses values that it never has.
fn field(name: &str, label: Option<String>, value: &str) -> Result<Field, String> {
    let one_of = |allowed: &[&str], field| match allowed.contains(&value) {
        true => Ok(field),
        false => Err(format!("`{name}` is none of {}", allowed.join(", "))),
    };
    match (name, label) {
        ("labels", Some(key)) if !key.is_empty() => Ok(Field::Label(key)),
        ("region.provider", None) => one_of(&["aws", "alicloud"], Field::Provider),
        ("region.name", None) if value.starts_with("regions/") => Ok(Field::Region),
        ("region.name", None) => Err("`region.name` is not regions/{provider}-{region}".to_owned()),
        ("state", None) => one_of(&["CREATING", "ACTIVE", "RESTORING", "DELETED"], Field::State),
        ("projectId", None) => Ok(Field::Project),
        ("clusterId", None) => Ok(Field::Id),
        ("displayName", None) => Ok(Field::DisplayName),
        _ => Err(format!("unknown field `{name}`")),
    }
}

/// Whether `id` is a project of this organization.
pub(super) fn is_project(organization: &str, id: &str) -> bool {
    PROJECTS.iter().any(|project| project.organization == organization && project.id == id)
}

#[cfg(test)]
mod tests {
    use super::{Field, Filter};

    #[test]
    fn the_published_subset_is_read_and_nothing_else() {
        let parsed = |text| Filter::parse(text).map(|filter| filter.0);
        assert_eq!(parsed("").unwrap(), []);
        assert_eq!(
            parsed(r#"region.provider="aws" AND state = ACTIVE AND projectId=1,2"#).unwrap(),
            [
                (Field::Provider, "aws".to_owned()),
                (Field::State, "ACTIVE".to_owned()),
                (Field::Project, "1,2".to_owned())
            ]
        );
        assert_eq!(
            parsed(r#"displayName="a \"b\" AND c""#).unwrap(),
            [(Field::DisplayName, "a \"b\" AND c".to_owned())]
        );
        assert_eq!(
            parsed(r#"labels."tidb.cloud/project"="7" AND labels.environment=production"#).unwrap(),
            [
                (Field::Label("tidb.cloud/project".to_owned()), "7".to_owned()),
                (Field::Label("environment".to_owned()), "production".to_owned())
            ]
        );
        for bad in [
            "state",
            "state=",
            "state=ACTIVE OR state=CREATING",
            "state=GONE",
            "state!=ACTIVE",
            "state=ACTIVE state=ACTIVE",
            "state=ACTIVE AND",
            "AND",
            "servicePlan=Starter",
            "clusterPlan=Starter",
            "displayName=\"x",
            "labels=x",
            "labels.=x",
            "region=aws",
            "region.name=aws-us-east-1",
            "state>ACTIVE",
            "(state=ACTIVE)",
            "\"state\"=ACTIVE",
            "displayName:x",
        ] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
    }
}
