//! How many rows statements touch now, and which tables, for the person who is asked about them.

use std::time::Duration;

use crate::{
    catalogue::Context,
    sql,
    statements::judged::query,
    tidbcloud::{BESIDE_STATEMENTS, DatabaseName, Rows, Target},
};

/// The rows that each of these statements touches now, for a person, who knows it by its place among all.
pub(super) async fn touched(
    context: &Context<'_>,
    target: &Target,
    database: Option<&DatabaseName>,
    statements: &[(usize, &str)],
    all: usize,
) -> Vec<(String, String)> {
    let counts_max = COUNTS_MAX.saturating_sub(all);
    let kept = u32::try_from(all).unwrap_or(u32::MAX).saturating_add(KEPT);
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
        let name = match all {
            1 => format!("{kind} that it touches now"),
            _ => format!("{kind} that statement {place} touches now"),
        };
        touched.push((name, found));
    }
    touched
}

/// Requests that counting leaves, beside one for each statement: those of a transaction, and two Durable Objects that hold
/// the question.
const KEPT: u32 = BESIDE_STATEMENTS + 2;

/// Statements and counts together. Of 45 requests four look up cluster and branch, by name and themselves; one asks how to reach it;
/// two are for nonces that have expired; [`KEPT`] is 9; and six make a SQL user for the statements (a refused login, two to make it,
/// two where it exists, another login): the one that counts was made by the call that asked. The statements alone decide how many are
/// counted, and not what is left, because the repeated call has to count the same.
const COUNTS_MAX: usize = 23;

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

/// A number of rows for a person: exact up to 1,000, then two digits of it. The repeated call counts again and must come to the same
/// text, also where the table grows meanwhile.
fn rounded(rows: u64) -> String {
    const EXACT_MAX: u64 = 1_000;
    const UNITS: [(u128, &str); 2] = [(1_000_000_000, " billion"), (1_000_000, " million")];
    let rows = u128::from(rows);
    if rows <= EXACT_MAX.into() {
        return grouped(rows);
    }
    let last = 10_u128.pow(rows.ilog10() - 1);
    let about = (rows + last / 2) / last * last;
    match UNITS.iter().find(|(unit, _)| about >= *unit) {
        Some((unit, word)) => {
            let tenth = match about / (unit / 10) % 10 {
                0 => String::new(),
                tenth => format!(".{tenth}"),
            };
            format!("about {}{tenth}{word}", grouped(about / unit))
        }
        None => format!("about {}", grouped(about)),
    }
}

/// With commas between thousands.
fn grouped(number: u128) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        thousands => format!("{},{:03}", grouped(thousands), number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNTS_MAX, KEPT, rounded};
    use crate::statements::params::Statements;

    #[test]
    fn rows_are_told_so_that_a_person_reads_them_and_a_live_table_stays_the_same() {
        for (rows, told) in [
            (0, "0"),
            (1, "1"),
            (999, "999"),
            (1_000, "1,000"),
            (1_001, "about 1,000"),
            (1_250, "about 1,300"),
            (12_345, "about 12,000"),
            (99_500, "about 100,000"),
            (999_999, "about 1 million"),
            (1_234_567, "about 1.2 million"),
            (1_234_999, "about 1.2 million"),
            (12_500_001, "about 13 million"),
            (123_456_789, "about 120 million"),
            (1_950_000_000, "about 2 billion"),
            (u64::MAX, "about 18,000,000,000 billion"),
        ] {
            assert_eq!(rounded(rows), told, "{rows}");
        }
    }

    /// What is counted for a person never takes what the statements need.
    #[test]
    fn counts_and_statements_fit_into_one_request() {
        const LOOKUPS: usize = 2 + 4 + 1;
        const NEW_USER: usize = 6;
        for statements in 1..=Statements::COUNT_MAX {
            let counts = COUNTS_MAX.saturating_sub(statements);
            let kept = usize::try_from(KEPT).expect("few");
            assert!(LOOKUPS + NEW_USER + counts + statements + kept <= 45, "{statements} statements");
        }
    }
}
