//! Statements with `params`: the text that a caller wrote cannot be read, only the text in which the values stand.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::judged::{place, rejected};
use crate::{
    base::{json, schema::schema_of},
    catalogue::{ToolError, code},
    sql::{self, Parameter, Placeholders, Reason, Unbound},
};

/// One SQL statement, not checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SqlText(String);

impl SqlText {
    /// With its values.
    pub(crate) fn bound(&self, params: Option<&Params>) -> Result<Cow<'_, str>, ToolError> {
        bind(&[&self.0], params)?.pop().ok_or_else(|| rejected(Reason::Empty))
    }
}

impl TryFrom<String> for SqlText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() { Err("must not be empty") } else { Ok(Self(text)) }
    }
}

/// 1 to 20 statements.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<SqlText>")]
pub(crate) struct Statements(Vec<SqlText>);

impl Statements {
    /// 20 statements and their BEGIN and COMMIT are 22 of the 50 requests that Workers' free plan allows.
    pub(crate) const COUNT_MAX: usize = 20;

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// With their values, which are used up in order.
    pub(crate) fn bound(&self, params: Option<&Params>) -> Result<Vec<Cow<'_, str>>, ToolError> {
        bind(&self.0.iter().map(|text| text.0.as_str()).collect::<Vec<_>>(), params)
    }

    /// The statements in arguments that were not read yet, with their values; `None` if they cannot be read.
    pub(crate) fn of_arguments(arguments: &Map<String, Value>) -> Option<Vec<Cow<'_, str>>> {
        let sql = arguments.get("sql")?;
        let all = sql.as_array().map_or(std::slice::from_ref(sql), Vec::as_slice);
        let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
        let params = arguments.get("params").cloned().map(json::from_value).transpose().ok()?;
        bind(&texts?, params.as_ref()).ok()
    }
}

impl TryFrom<Vec<SqlText>> for Statements {
    type Error = &'static str;

    fn try_from(statements: Vec<SqlText>) -> Result<Self, Self::Error> {
        if (1..=Self::COUNT_MAX).contains(&statements.len()) {
            Ok(Self(statements))
        } else {
            Err("must be 1 to 20 statements")
        }
    }
}

/// The values of placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Params(Vec<Parameter>);

/// Puts values into statements, each after those of the statements before it. Without `params` the texts stay as they are: a
/// placeholder is then refused with the statement.
fn bind<'t>(texts: &[&'t str], params: Option<&Params>) -> Result<Vec<Cow<'t, str>>, ToolError> {
    let Some(Params(values)) = params else { return Ok(texts.iter().map(|text| Cow::Borrowed(*text)).collect()) };
    let at = |index: usize, error: ToolError| place(error, index, texts.len());
    let mut found = Vec::with_capacity(texts.len());
    let mut left = values.len();
    for (index, text) in texts.iter().enumerate() {
        let placeholders = Placeholders::of(text).map_err(|unbound| at(index, refused(unbound)))?;
        let wanted = placeholders.count();
        left = left.checked_sub(wanted).ok_or_else(|| at(index, too_few(wanted, left)))?;
        found.push(placeholders);
    }
    if left > 0 {
        let all = values.len();
        let message =
            format!("`params` has {}, and `sql` {}.", counted(all, "value"), counted(all - left, "placeholder `?`"));
        return Err(ToolError::new(code::INVALID_ARGUMENT, message)
            .hint("Give one value for each `?`. One in quotes or in a comment is text, so write it bare: name = ?."));
    }
    let mut values = values.as_slice();
    let mut bound = Vec::with_capacity(texts.len());
    for (index, (text, placeholders)) in texts.iter().zip(&found).enumerate() {
        let (own, rest) = values.split_at_checked(placeholders.count()).unwrap_or((values, &[]));
        values = rest;
        bound.push(Cow::Owned(sql::bind(text, placeholders, own).map_err(|unbound| at(index, refused(unbound)))?));
    }
    Ok(bound)
}

fn too_few(wanted: usize, left: usize) -> ToolError {
    let message = format!(
        "`params` is too short: {}, and {} left.",
        counted(wanted, "placeholder `?`"),
        match left {
            1 => "1 value is".to_owned(),
            count => format!("{count} values are"),
        }
    );
    ToolError::new(code::INVALID_ARGUMENT, message)
        .hint("Give one value for each `?`, in order; several statements share `params`.")
}

fn refused(unbound: Unbound) -> ToolError {
    match unbound {
        Unbound::Refused(reason) => rejected(reason),
        Unbound::Misplaced(number, after) => {
            let after = after.to_ascii_uppercase();
            let message = match after.as_str() {
                "" => format!("The placeholder {number} begins a statement, where no value can stand."),
                after => format!("The placeholder {number}, after `{after}`, is where no value can stand."),
            };
            ToolError::new(code::INVALID_ARGUMENT, message)
                .hint("A `?` is one value: write names and keywords in `sql` itself, IN (?, ?) for lists, <=> ? for IS NULL, d >= ? for DATE ?, and UNHEX(?) for bytes.")
        }
        Unbound::NoCount(number) => ToolError::new(
            code::INVALID_ARGUMENT,
            format!("The placeholder {number} is a count of rows, and its value is none."),
        )
        .hint("Give LIMIT and OFFSET whole numbers from 0."),
        Unbound::NoLiteral(number) => ToolError::new(
            code::INVALID_ARGUMENT,
            format!("The placeholder {number} takes a plain text, and its value has a backslash or NUL."),
        )
        .hint("After ESCAPE give another character, such as `!`, and use it in the pattern; elsewhere leave the backslash out."),
    }
}

fn counted(count: usize, what: &str) -> String {
    match (count, what.split_once(' ')) {
        (1, _) => format!("1 {what}"),
        (count, Some((noun, mark))) => format!("{count} {noun}s {mark}"),
        (count, None) => format!("{count} {what}s"),
    }
}

schema_of! {
    SqlText => {"type": "string", "description": "Statement"};
    // A statement alone is taken too; two types for one argument would confuse hosts.
    Statements => {
        "type": "array",
        "items": {"type": "string"},
        "description": "1 to 20 statements"
    };
    // Numbers, booleans and null are taken too.
    Params => {
        "type": "array",
        "items": {"type": "string"},
        "description": "For each ?"
    };
}
