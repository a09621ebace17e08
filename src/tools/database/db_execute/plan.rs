//! How statements are going to run, decided before the first one does.

use crate::{
    catalogue::{Context, ToolError, code},
    sql::{self, Class, NotHeld},
    statements::judged::{place, rejected},
    tidbcloud::{AccessClass, Replay, Rows},
};

/// The requirements of the statements, and how they run.
pub(super) struct Plan {
    pub(super) class: AccessClass,
    pub(super) replay: Replay,
    /// One of them creates an account if its name is new, unless the server's mode prevents it.
    pub(super) may_make_account: bool,
    /// One of several commits by itself, so a transaction around them could not keep its promise.
    pub(super) one_by_one: bool,
}

/// The plan, with a note for the log of what is to be run.
pub(super) fn noted_plan(context: &Context<'_>, statements: &[&str]) -> Result<Plan, ToolError> {
    let plan = plan(statements);
    context.notes_sql(if plan.is_ok() { "write" } else { "refused" }, &statements.join(";\n"));
    plan
}

/// Checks every statement before the first one runs.
fn plan(statements: &[&str]) -> Result<Plan, ToolError> {
    let mut plan =
        Plan { class: AccessClass::ReadWrite, replay: Replay::Safe, may_make_account: false, one_by_one: false };
    for (index, text) in statements.iter().enumerate() {
        let at = |error: ToolError| place(error, index, statements.len());
        let statement = sql::inspect(text).map_err(|reason| at(rejected(reason)))?;
        if statement.ddl {
            plan.class = AccessClass::Admin;
            plan.one_by_one = true;
        }
        plan.may_make_account |= statement.may_make_account;
        if !matches!(sql::classify(text), Class::Read) {
            plan.replay = Replay::Unsafe;
        }
    }
    Ok(plan)
}

/// Requires statements that a transaction holds, for a `dryRun` or `expectedRows`: each of them would be in vain for another.
pub(super) fn transaction_only(statements: &[&str], is_dry: bool) -> Result<(), ToolError> {
    for (index, text) in statements.iter().enumerate() {
        let Err(not_held) = sql::held_by_transaction(text) else { continue };
        let (argument, instead) = match (is_dry, not_held) {
            (true, NotHeld::CommitsByItself) => (
                "dryRun",
                "A dry run of it needs a copy of the data: run it on a branch, which tidbcloud_create_branch makes.",
            ),
            (true, NotHeld::InParts) => {
                ("dryRun", "Leave out BATCH for the dry run, or use its own DRY RUN without `dryRun`.")
            }
            (false, NotHeld::CommitsByItself) => {
                ("expectedRows", "Leave out `expectedRows`, or run it in a call of its own.")
            }
            (false, NotHeld::InParts) => ("expectedRows", "Leave out BATCH, or `expectedRows`."),
        };
        let why = match not_held {
            NotHeld::CommitsByItself => "commits by itself, and TiDB cannot roll it back",
            NotHeld::InParts => "commits in parts, and TiDB cannot roll them back",
        };
        let verb = sql::changing_word(text).unwrap_or_else(|| "This".to_owned());
        let message = format!("`{argument}` does not go with this statement: `{verb}` {why}.");
        return Err(place(ToolError::new(code::INVALID_ARGUMENT, message).hint(instead), index, statements.len()));
    }
    Ok(())
}

/// Requires a mode in which `GRANT` creates no account: that account would have an empty password.
/// <https://docs.pingcap.com/tidb/stable/sql-mode>
pub(super) fn grants_to_accounts_only(mode: &Rows) -> Result<(), ToolError> {
    let mode = mode.rows.first().and_then(|row| row.first()?.as_ref());
    let mode = mode.map(|cell| cell.text.as_str()).unwrap_or_default();
    if mode.to_ascii_uppercase().split(',').any(|part| part == "NO_AUTO_CREATE_USER") {
        return Ok(());
    }
    Err(ToolError::new(
        code::SQL_REJECTED,
        "GRANT is not run: without NO_AUTO_CREATE_USER in sql_mode it could make an account with an empty password.",
    )
    .hint("Ask the person to add NO_AUTO_CREATE_USER to the global sql_mode."))
}

#[cfg(test)]
mod tests {
    use super::{Rows, grants_to_accounts_only};
    use crate::tidbcloud::Cell;

    #[test]
    fn a_grant_needs_a_mode_in_which_it_makes_no_account() {
        let allowed = |mode: Option<&str>| {
            let cell = mode.map(|text| Cell { text: text.to_owned(), cut: false });
            grants_to_accounts_only(&Rows { rows: vec![vec![cell]], ..Rows::default() }).is_ok()
        };
        assert!(allowed(Some("STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION")));
        assert!(!allowed(Some("STRICT_TRANS_TABLES")) && !allowed(Some("")) && !allowed(None));
    }
}
