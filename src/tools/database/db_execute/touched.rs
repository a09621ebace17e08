//! How many rows statements touch now, and which tables, for the person who is asked about them.

use std::time::Duration;

use crate::{
    catalogue::Context,
    sql,
    statements::{figures::rounded, guard, judged::query},
    tidbcloud::{BESIDE_STATEMENTS, DatabaseName, Rows, Target},
};

/// The rows that each of these statements touches now, for a person, who knows it by its place among all.
pub(super) async fn touched(
    context: &Context<'_>,
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[(usize, &str)],
    all: &[&str],
) -> Vec<(String, String)> {
    let needed = all.len().saturating_add(guard::requests_max(all));
    let counts_max = COUNTS_MAX.saturating_sub(needed);
    let kept = u32::try_from(needed).unwrap_or(u32::MAX).saturating_add(KEPT);
    let held = context.allowance().hold(kept);
    let mut counts = 0;
    let mut touched = Vec::new();
    for (place, text) in statements {
        let (kind, read, told): (_, _, fn(&Rows) -> Option<String>) = match sql::list_dropped(text) {
            Some(list) => ("Tables", Some(list), listed),
            None => ("Rows", sql::count_touched(text), counted),
        };
        let found = match read.filter(|_| counts < counts_max) {
            None => "not counted".to_owned(),
            Some(read) => {
                counts += 1;
                let rows = match &held {
                    Some(_) if context.allowance().can_spare(1) => {
                        context.sql().read(target, database, query(&read), KEPT_TIME).await.ok()
                    }
                    _ => None,
                };
                rows.and_then(|rows| told(&rows)).unwrap_or_else(|| "could not be counted now".to_owned())
            }
        };
        let name = match all.len() {
            1 => format!("{kind} that it touches now"),
            _ => format!("{kind} that statement {place} touches now"),
        };
        touched.push((name, found));
    }
    touched
}

/// Requests that counting leaves, beside those for each statement and its plan: those of a transaction, and two Durable Objects that hold
/// the question.
const KEPT: u32 = BESIDE_STATEMENTS + 2;

/// Statements, their plans and counts together. Of 45 requests four look up cluster and branch, by name and themselves; one asks how to reach it;
/// two are for nonces that have expired; [`KEPT`] is 9; and six make a SQL user for the statements (a refused login, two to make it,
/// two where it exists, another login): the one that counts was made by the call that asked. The statements alone decide how many are
/// counted, and not what is left, because the repeated call has to count the same.
pub(super) const COUNTS_MAX: usize = 23;

/// Time that counting leaves: a statement of 30 s, and 5 s for the control plane, of 55 s.
const KEPT_TIME: Duration = Duration::from_secs(35);

/// The number that a count gave.
fn counted(rows: &Rows) -> Option<String> {
    rows.rows.first()?.first()?.as_ref()?.text.parse().ok().map(rounded)
}

/// How many tables a database has, and which, if they are few enough to be read: 50 names of 64 characters take a fifth of what is
/// shown at most.
fn listed(rows: &Rows) -> Option<String> {
    const NAMED_MAX: usize = 50;
    let names: Vec<_> = rows.rows.iter().filter_map(|row| Some(row.first()?.as_ref()?.text.as_str())).collect();
    match rows.seen {
        _ if !rows.complete => None,
        count @ 1..=NAMED_MAX if names.len() == count => Some(format!("{count}: {}", names.join(", "))),
        count => u64::try_from(count).ok().map(rounded),
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNTS_MAX, KEPT};
    use crate::statements::params::Statements;

    /// What is counted for a person never takes what the statements need.
    #[test]
    fn counts_and_statements_fit_into_one_request() {
        const LOOKUPS: usize = 2 + 4 + 1;
        const NEW_USER: usize = 6;
        for statements in 1..=Statements::COUNT_MAX {
            for plans in 0..=statements {
                // And one request for row counts.
                let needed = statements + plans + usize::from(plans > 0);
                let counts = COUNTS_MAX.saturating_sub(needed);
                let kept = usize::try_from(KEPT).expect("few");
                // Statements and plans that leave no room for counts are refused by the guard if they do not fit themselves.
                let all = LOOKUPS + NEW_USER + counts + needed + kept;
                assert!(all <= 45 || counts == 0, "{statements} statements, {plans} plans");
            }
        }
    }
}
