//! The guard: what would read much is planned first, and needs a person if TiDB's plan says so.

use std::{collections::BTreeSet, time::Duration};

use super::{
    figures::{grouped, rounded},
    judged::{place, query, refused_read},
};
use crate::{
    catalogue::{Context, Stakes, ToolError, code, said},
    plan::{
        NotAPlan, Plan, Weight,
        conditions::{Column, columns},
        rows_of, weigh,
    },
    sql::{self, Keyed, Size, Tables},
    tidbcloud::{AccessClass, BESIDE_STATEMENTS, Cell, DatabaseName, Query, Rows, SqlFailure, Target},
};

/// `EXPLAIN` of a view needs rights to its tables (MySQL, `ER_VIEW_NO_EXPLAIN`), which the view itself does not.
const VIEW_NO_EXPLAIN: u16 = 1345;

/// Statements of a call, and how they run.
#[derive(Clone, Copy)]
pub(crate) struct Guarded<'g> {
    pub(crate) target: &'g Target,
    pub(crate) class: AccessClass,
    pub(crate) database: Option<&'g DatabaseName>,
    pub(crate) statements: &'g [&'g str],
}

/// A statement that needs a person because of what it costs the database.
pub(crate) struct Heavy {
    /// Which of the statements, from 1.
    pub(crate) place: usize,
    /// The rows that it would read, if that is known.
    pub(crate) rows: Option<String>,
    /// Why, in a sentence, and another that says what would help.
    pub(crate) why: String,
}

/// What the texts of statements tell. What an earlier statement changes in the schema is not there yet when a plan is made.
fn sizes(statements: &[&str]) -> Vec<Size> {
    let mut changed = false;
    let size = |text: &&str| {
        let size = match sql::size(text) {
            Size::Nothing => Size::Nothing,
            _ if changed => Size::Unplannable,
            size => size,
        };
        changed |= sql::inspect(text).is_ok_and(|statement| statement.ddl);
        size
    };
    statements.iter().map(size).collect()
}

/// Requests that the guard takes before these statements run, at least: those that their texts do not show to be small are planned, and
/// several that are the same once.
pub(crate) fn plans_min(statements: &[&str]) -> u32 {
    let plans = least_plans(statements, &sizes(statements), |_| true);
    u32::try_from(plans).unwrap_or(u32::MAX)
}

/// Requests that the guard takes at most: a plan for each statement that runs a query or a change, and one for row counts.
pub(crate) fn requests_max(statements: &[&str]) -> usize {
    match least_plans(statements, &sizes(statements), |_| false) {
        0 => 0,
        plans => plans + 1,
    }
}

/// The statements that need a person, each planned as the user that would run it.
///
/// # Errors
/// Not all of them can be planned in this call, or the database refuses one.
pub(crate) async fn heavy(context: &Context<'_>, guarded: Guarded<'_>) -> Result<Vec<Heavy>, ToolError> {
    let Some(rows_max) = context.rows_guard() else { return Ok(Vec::new()) };
    let Guarded { target, database, statements, .. } = guarded;
    let known = |keyed: &Keyed| context.sql().finds_one(target, database, &keyed.table, &keyed.columns);
    let sizes = sizes(statements);
    must_fit(context, statements.len(), least_plans(statements, &sizes, known))?;
    let mut plans: Vec<Planned<'_>> = Vec::new();
    for ((place, text), size) in (1..).zip(statements.iter().copied()).zip(sizes) {
        let plan = match &size {
            Size::Nothing => continue,
            Size::Keyed(keyed) if known(keyed) => continue,
            Size::Unplannable => None,
            _ => match plans.iter().find(|(_, planned, _)| *planned == text) {
                Some((_, _, plan)) => plan.clone(),
                None => {
                    must_fit(context, statements.len(), 1)?;
                    plan_of(context, guarded, place, text).await?
                }
            },
        };
        match (&plan, size) {
            (Some(plan), Size::Keyed(keyed)) if plan.is_one_row() => {
                if plan.is_by_handle() || !keyed.has_integer() {
                    context.sql().keep_key(target, database, &keyed.table, keyed.columns);
                }
            }
            _ => plans.push((place, text, plan)),
        }
    }
    let tables: Vec<_> = plans.iter().map(|(_, text, plan)| tables(text, plan.as_ref())).collect();
    let counts = Counts::read(context, guarded, &plans, &tables).await;
    let heavy = plans.iter().zip(&tables).filter_map(|((place, _, plan), tables)| {
        let weight = plan.as_ref().map_or(Weight { is_unclear: true, ..Weight::default() }, |plan| {
            weigh(plan, &|called| counts.rows(database, tables, called))
        });
        judge(&weight, rows_max).map(|(rows, why)| Heavy { place: *place, rows, why })
    });
    Ok(heavy.collect())
}

/// A statement with its place and its plan, if there is one.
type Planned<'s> = (usize, &'s str, Option<Plan>);

/// How many plans it takes if each table is found by the keys that one of the statements uses.
fn least_plans(statements: &[&str], sizes: &[Size], known: impl Fn(&Keyed) -> bool) -> usize {
    let (mut texts, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for (text, size) in statements.iter().zip(sizes) {
        match size {
            Size::Planned => drop(texts.insert(*text)),
            Size::Keyed(keyed) if !known(keyed) => drop(keys.insert((&keyed.table, &keyed.columns))),
            _ => {}
        }
    }
    texts.len() + keys.len()
}

/// Requires that so many plans fit beside so many statements.
fn must_fit(context: &Context<'_>, statements: usize, plans: usize) -> Result<(), ToolError> {
    let fits = |statements: usize, plans: usize| {
        let beside = if statements > 1 { BESIDE_STATEMENTS } else { 0 };
        let needs = u32::try_from(plans.saturating_add(statements)).unwrap_or(u32::MAX);
        context.allowance().can_spare(needs.saturating_add(beside))
    };
    if plans == 0 || fits(statements, plans) {
        return Ok(());
    }
    let message = format!(
        "{statements} statements do not fit into what is left of this HTTP request: each that is not obviously small is planned before any runs. Nothing was changed."
    );
    let hint = match (1..statements).rev().find(|count| fits(*count, *count)) {
        None => "Send this call alone.".to_owned(),
        Some(most) => format!("Send at most {most} statements in a call."),
    };
    Err(ToolError::new(code::REQUESTS_EXHAUSTED, message).hint(hint))
}

/// TiDB's plan of a statement; `None` if there is none to be had.
async fn plan_of(
    context: &Context<'_>,
    guarded: Guarded<'_>,
    at: usize,
    text: &str,
) -> Result<Option<Plan>, ToolError> {
    let Guarded { target, class, database, statements } = guarded;
    let query = Query { whole_values: true, ..query(text) };
    match context.sql().plan(target, class, database, query).await {
        Ok(rows) => Ok(read(&rows)),
        Err(SqlFailure::Sql { code: Some(VIEW_NO_EXPLAIN), .. }) => Ok(None),
        Err(failure) if class == AccessClass::ReadOnly => Err(refused_read(failure, text)),
        Err(failure) => Err(place(failure.into(), at - 1, statements.len())),
    }
}

/// A plan, if all of it is there.
fn read(rows: &Rows) -> Option<Plan> {
    if rows.complete && rows.rows.len() == rows.seen { plan_in(rows).ok() } else { None }
}

/// The plan that an answer to `EXPLAIN` holds, as far as it was read.
pub(crate) fn plan_in(rows: &Rows) -> Result<Plan, NotAPlan> {
    let columns: Vec<&str> = rows.types.iter().map(|column| column.name.as_str()).collect();
    let cells =
        rows.rows.iter().map(|row| row.iter().map(|cell| cell.as_ref().map(|cell| cell.text.as_str())).collect());
    Plan::read(&columns, cells)
}

/// TiDB's own row counts of tables without statistics.
struct Counts(Vec<(String, String, f64)>);

impl Counts {
    /// Asks for all tables at once; those that cannot be told from the statement's text stay unknown.
    async fn read(context: &Context<'_>, guarded: Guarded<'_>, plans: &[Planned<'_>], tables: &[Tables]) -> Self {
        let Guarded { target, database, .. } = guarded;
        let pseudo = plans.iter().zip(tables).filter_map(|((_, _, plan), tables)| Some((plan.as_ref()?, tables)));
        let tables = pseudo.flat_map(|(plan, tables)| {
            plan.pseudo().into_iter().filter_map(move |called| table(database, tables, called)).collect::<Vec<_>>()
        });
        let (mut databases, mut names): (Vec<_>, Vec<_>) =
            tables.filter(|(database, name)| !database.contains('\\') && !name.contains('\\')).unzip();
        if names.is_empty() {
            return Self(Vec::new());
        }
        let list = |names: &mut Vec<String>| {
            names.sort_unstable();
            names.dedup();
            names.iter().map(|name| format!("'{}'", name.replace('\'', "''"))).collect::<Vec<_>>().join(", ")
        };
        let text = format!(
            "SHOW STATS_META WHERE LOWER(Db_name) IN ({}) AND LOWER(Table_name) IN ({})",
            list(&mut databases),
            list(&mut names)
        );
        let rows = context.sql().read(target, None, query(&text), Duration::ZERO).await;
        Self(rows.map(|rows| counted(&rows)).unwrap_or_default())
    }

    /// The rows of the table that a statement's plan calls so.
    fn rows(&self, database: Option<&DatabaseName>, tables: &Tables, called: &str) -> Option<f64> {
        let (database, name) = table(database, tables, called)?;
        let of_table = self.0.iter().filter(|(of, table, _)| *of == database && *table == name);
        of_table.map(|(_, _, rows)| *rows).reduce(f64::max)
    }
}

/// Database and table that a statement's plan calls so, in lower case.
fn table(database: Option<&DatabaseName>, tables: &Tables, called: &str) -> Option<(String, String)> {
    let (of, name) = tables.called(called)?.clone();
    Some((of.or_else(|| Some(database?.as_str().to_lowercase()))?, name))
}

/// The tables of a statement, if it takes more than its plan to know how many rows they have.
fn tables(text: &str, plan: Option<&Plan>) -> Tables {
    if plan.is_some_and(|plan| !plan.pseudo().is_empty()) { Tables::of(text) } else { Tables::default() }
}

/// The counts of a `SHOW STATS_META`. A table that was never analyzed has 0 rows until TiDB has written what was added, and those are
/// not known.
fn counted(rows: &Rows) -> Vec<(String, String, f64)> {
    let at = |name: &str| rows.types.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    let (Some(database), Some(table), Some(count), Some(analyzed)) =
        (at("Db_name"), at("Table_name"), at("Row_count"), at("Last_analyze_time"))
    else {
        return Vec::new();
    };
    let of_row = |row: &Vec<Option<Cell>>| {
        let text = |at: usize| Some(row.get(at)?.as_ref()?.text.as_str());
        let rows = rows_of(text(count)?)?;
        (rows > 0.0 || text(analyzed).is_some()).then_some((
            text(database)?.to_lowercase(),
            text(table)?.to_lowercase(),
            rows,
        ))
    };
    rows.rows.iter().filter_map(of_row).collect()
}

/// Whether this needs a person: the rows that it reads, if they are known, and why.
fn judge(weight: &Weight, rows_max: u64) -> Option<(Option<String>, String)> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a figure for a person, and `as` saturates"
    )]
    let told = |rows: f64| rounded(rows as u64);
    #[expect(clippy::cast_precision_loss, reason = "an estimate is compared with it")]
    let is_many = weight.rows() > rows_max as f64;
    let mut rows = Some(told(weight.rows()));
    let mut why = if weight.is_unclear {
        rows = None;
        "There is no plan of it to be read before it runs, so it counts as expensive.".to_owned()
    } else if !weight.unknown.is_empty() {
        rows = None;
        let tables = weight.unknown.join(", ");
        format!(
            "There are no statistics of {tables}, and TiDB does not know how many rows that has, so it counts as large. ANALYZE TABLE, run with db_execute, makes them."
        )
    } else if weight.is_recursive {
        "It is recursive, and nobody can tell beforehand how often it repeats. A query without WITH RECURSIVE needs no permission.".to_owned()
    } else if weight.is_product {
        let rows = told(weight.joined);
        format!(
            "It pairs each row of one side of a join with each row of the other, {rows} rows: a cartesian product. A condition that compares a column of both with `=` would avoid that."
        )
    } else if is_many {
        let most = format!("more than the {} that are read unasked", grouped(rows_max.into()));
        let mut why = if weight.joined > weight.read {
            format!("A join in it gives {} rows, {most}.", told(weight.joined))
        } else {
            format!("It reads {} rows, {most}.", told(weight.read))
        };
        why.push(' ');
        why.push_str(&helps(weight));
        why
    } else {
        return None;
    };
    if !weight.counted.is_empty() {
        let tables = weight.counted.join(", ");
        why.push_str(&format!(" The statistics of {tables} are missing or stale: TiDB's own row count decided."));
    }
    Some((rows, why))
}

/// What would make a statement read less.
fn helps(weight: &Weight) -> String {
    let columns = weight.unserved.as_ref().map(|(_, condition)| columns(condition)).unwrap_or_default();
    match columns.as_slice() {
        [] => "A condition on a column that has an index would help.".to_owned(),
        [Column { table, .. }, ..] => {
            let of_table: Vec<_> =
                columns.iter().filter(|column| column.table == *table).map(|column| column.name.as_str()).collect();
            let name = table.rsplit('.').next().unwrap_or(table);
            format!("An index on {name} ({}) would help.", of_table.join(", "))
        }
    }
}

/// Where statements run, for a person.
pub(crate) struct Whereabouts {
    /// Its name in a sentence.
    pub(crate) words: String,
    /// What is typed to destroy something there, and the id that stands in for it.
    pub(crate) name: (String, String),
    facts: [(&'static str, Option<String>); 6],
}

impl Whereabouts {
    /// Asks TiDB Cloud.
    pub(crate) async fn read(
        context: &Context<'_>,
        target: &Target,
        database: Option<&DatabaseName>,
    ) -> Result<Self, ToolError> {
        let cluster = context.cloud().cluster(&target.cluster).await?;
        let branch = match &target.branch {
            Some(id) => Some(context.cloud().branch(&target.cluster, id).await?),
            None => None,
        };
        let on_cluster = format!("the cluster {}", said(&cluster.display_name, target.cluster.as_str()));
        let (words, name) = match &branch {
            Some(branch) => (
                format!("the branch {} of {on_cluster}", said(&branch.display_name, branch.branch_id.as_str())),
                (branch.display_name.clone(), branch.branch_id.as_str().to_owned()),
            ),
            None => (on_cluster, (cluster.display_name.clone(), target.cluster.as_str().to_owned())),
        };
        let facts = [
            ("Cluster", Some(cluster.display_name)),
            ("Cluster id", Some(target.cluster.as_str().to_owned())),
            ("Region", cluster.region.map(|region| region.name)),
            ("Branch", branch.map(|branch| branch.display_name)),
            ("Branch id", target.branch.as_ref().map(|id| id.as_str().to_owned())),
            ("Database", database.map(|database| database.as_str().to_owned())),
        ];
        Ok(Self { words, name, facts })
    }

    /// What happens there, with its facts.
    pub(crate) fn stakes(self, what: String) -> Stakes {
        self.facts.into_iter().fold(Stakes::of(what), |stakes, (name, value)| stakes.fact(name, value))
    }
}

/// What a person is asked before statements of which some are heavy and none destroys; `None` if none is.
pub(crate) async fn stakes(
    context: &Context<'_>,
    guarded: Guarded<'_>,
    verb: &str,
) -> Result<Option<Stakes>, ToolError> {
    let heavy = heavy(context, guarded).await?;
    let Some(first) = heavy.first() else { return Ok(None) };
    let statements = guarded.statements;
    let whereabouts = Whereabouts::read(context, guarded.target, guarded.database).await?;
    let what = match statements.len() {
        1 => format!("{verb} on {}. {}", whereabouts.words, first.why),
        all => {
            let reasons: Vec<_> =
                heavy.iter().map(|heavy| format!("Statement {}: {}", heavy.place, heavy.why)).collect();
            format!(
                "Run {all} statements on {}, of which {} cost much. {}",
                whereabouts.words,
                heavy.len(),
                reasons.join(" ")
            )
        }
    };
    let stakes = heavy.iter().fold(whereabouts.stakes(what), |stakes, heavy| heavy.rows_fact(stakes, statements.len()));
    let (costly, others): (Vec<_>, Vec<_>) =
        (1..).zip(statements.iter().copied()).partition(|(place, _)| heavy.iter().any(|heavy| heavy.place == *place));
    Ok(Some(stakes.running(costly.into_iter().chain(others))))
}

impl Heavy {
    /// Why it costs much, as a fact of a call with so many statements that is asked about for another reason.
    pub(crate) fn fact(&self, stakes: Stakes, all: usize) -> Stakes {
        let name = match all {
            1 => "Cost".to_owned(),
            _ => format!("Cost of statement {}", self.place),
        };
        stakes.fact(&name, Some(&self.why))
    }

    /// The rows that it reads, as a fact of a call with so many statements.
    pub(crate) fn rows_fact(&self, stakes: Stakes, all: usize) -> Stakes {
        let name = match all {
            1 => "Rows that it would work through".to_owned(),
            _ => format!("Rows that statement {} would work through", self.place),
        };
        stakes.fact(&name, self.rows.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::{Weight, helps};

    #[test]
    fn what_would_help_is_a_column_and_no_text_of_the_statement() {
        let of = |condition: &str| {
            helps(&Weight { unserved: Some(("v".to_owned(), condition.to_owned())), ..Weight::default() })
        };
        assert_eq!(of("eq(\"a.b.c\", shop.visits.page)"), "An index on visits (page) would help.");
        assert_eq!(of("eq(my-shop.visits.page, 1)"), "An index on visits (page) would help.");
        assert_eq!(of("eq(1, \"a.b.c\")"), "A condition on a column that has an index would help.");
    }
}
