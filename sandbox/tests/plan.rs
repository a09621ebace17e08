//! `EXPLAIN` on MariaDB: what it answers stands in `plans.txt`, statement by statement; `UPDATE_EXPECT=1` writes it anew.
//!
//! Needs an engine, as `sql.rs` does. Estimates, times and measured rows differ between servers, so they are not in the file.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "in a test a panic is the report")]

use std::path::PathBuf;
use std::{env, fs};

use tidbcloud_sandbox::exchange::{Instance, Role, SqlEffect, SqlOutcome, SqlTask};
use tidbcloud_sandbox::sql::{Engine, Servers};

/// The sample data on a server of its own; the template is kept in `tmp` of the target directory.
fn servers() -> Servers {
    let engine = Engine::find().unwrap_or_else(|error| panic!("{error}"));
    let root = env::current_exe().unwrap().ancestors().nth(3).unwrap().join("tmp/sql");
    let servers = Servers::new(engine, &root).unwrap();
    servers.apply(&SqlEffect::Sample(Instance("shop".to_owned())));
    servers
}

fn run(servers: &Servers, role: Role, query: &str) -> SqlOutcome {
    servers.run(&SqlTask {
        instance: Instance("shop".to_owned()),
        role,
        user: format!("p.{role:?}"),
        database: String::new(),
        session: String::new(),
        isolation: None,
        stateful: None,
        query: query.to_owned(),
    })
}

/// Columns and rows of a plan.
fn plan(servers: &Servers, query: &str) -> (Vec<String>, Vec<Vec<String>>) {
    match run(servers, Role::ReadOnly, query) {
        SqlOutcome::Rows { types, rows, .. } => (
            types.into_iter().map(|column| column.name).collect(),
            rows.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect(),
        ),
        other => panic!("{query}: {other:?}"),
    }
}

/// Columns that are the same on every server.
const SHOWN: &[&str] = &["id", "task", "access object", "operator info", "TiDB_JSON"];

/// What a statement answers, as `plans.txt` has it.
fn shown(servers: &Servers, query: &str) -> String {
    let role = if query.starts_with("CREATE") { Role::Admin } else { Role::ReadWrite };
    match run(servers, role, query) {
        SqlOutcome::Rows { types, rows, .. } => {
            assert!(types.iter().all(|column| column.kind == "CHAR" && column.nullable), "{types:?}");
            let line = |row: Vec<Option<String>>| {
                let cells = types.iter().zip(row).filter(|(column, _)| SHOWN.contains(&column.name.as_str()));
                let cells: Vec<_> = cells.map(|(_, cell)| cell.unwrap_or_default()).collect();
                without_estimates(cells.join(" | ").trim_end()) + "\n"
            };
            rows.into_iter().map(line).collect()
        }
        SqlOutcome::Done { rows_affected, .. } => format!("{rows_affected} rows affected\n"),
        SqlOutcome::Refused { code, message, .. } => format!("!! {code} {message}\n"),
        other => panic!("{query}: {other:?}"),
    }
}

/// Of a plan in JSON, the lines that are the same on every server.
fn without_estimates(text: &str) -> String {
    text.lines().filter(|line| !line.contains("\"estRows\"")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_plan_is_made_of_what_mariadb_does() {
    let servers = servers();
    if servers.engine().is_tidb() {
        return;
    }
    let path = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/plans.txt");
    let expected = fs::read_to_string(&path).unwrap();
    let orders = || run(&servers, Role::ReadOnly, "SELECT COUNT(*), SUM(total), MAX(note) FROM shop.orders");
    let before = orders();
    let mut found = String::new();
    let mut answers = false;
    for line in expected.lines() {
        answers &= !line.is_empty();
        if let Some(query) = line.strip_prefix("<< ") {
            found.push_str(&format!("{line}\n{}", shown(&servers, query)));
            answers = true;
        } else if !answers {
            found.push_str(&format!("{line}\n"));
        }
    }
    let tidied = |outcome| match outcome {
        SqlOutcome::Rows { rows, .. } => rows,
        other => panic!("{other:?}"),
    };
    assert_eq!(tidied(before), tidied(orders()), "nothing was changed");
    // Other releases choose other plans and write conditions in their own way: this is what the set-up fetches on Debian 12.
    let (_, version) = plan(&servers, "SELECT VERSION()");
    if !version[0][0].contains("MariaDB-10.11.") {
        return;
    }
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &found).unwrap();
    } else {
        let differs = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
        assert!(expected == found, "the first difference: {differs:#?}");
    }
}

/// The actual rows of a plan by operator, as far as the server tells.
fn measured(servers: &Servers, query: &str) -> Vec<(String, String)> {
    let (columns, rows) = plan(servers, query);
    let names =
        ["id", "estRows", "actRows", "task", "access object", "execution info", "operator info", "memory", "disk"];
    assert_eq!(columns, names);
    let operator = |id: &str| id.trim_start_matches(['│', '├', '└', '─', ' ']).to_owned();
    rows.into_iter().map(|row| (operator(&row[0]), row[2].clone())).collect()
}

#[test]
fn an_analyzed_plan_counts_the_rows_of_all_loops() {
    let servers = servers();
    if servers.engine().is_tidb() {
        return;
    }
    let rows = |list: &[(&str, &str)]| {
        list.iter().map(|(name, rows)| ((*name).to_owned(), (*rows).to_owned())).collect::<Vec<_>>()
    };
    let scan = "EXPLAIN ANALYZE FORMAT = 'brief' SELECT id FROM shop.orders WHERE note = 'gift'";
    let found = measured(&servers, scan);
    assert_eq!(found, rows(&[("TableReader", "2000"), ("Selection", "2000"), ("TableFullScan", "100000")]));
    let lookups = "EXPLAIN ANALYZE FORMAT = 'brief' SELECT o.total FROM shop.orders o JOIN shop.order_items i ON i.order_id = o.id \
                   WHERE o.id <= 30";
    let found = measured(&servers, lookups);
    // An order has as many items as its number leaves when divided by 3, and one.
    let items = (1..=30).map(|order| order % 3 + 1).sum::<u32>().to_string();
    assert_eq!(found[0], ("IndexJoin".to_owned(), items.clone()));
    assert!(found.contains(&("TableRangeScan".to_owned(), items)), "{found:?}");
    let one =
        measured(&servers, "EXPLAIN ANALYZE FORMAT = 'brief' SELECT COUNT(*) FROM shop.customers WHERE id > 5000");
    assert_eq!(one[0], ("StreamAgg".to_owned(), "1".to_owned()));
    let top =
        measured(&servers, "EXPLAIN ANALYZE FORMAT = 'brief' SELECT * FROM shop.customers ORDER BY country LIMIT 7");
    assert_eq!(top[0], ("TopN".to_owned(), "7".to_owned()));
}

/// Whatever can be put together: every plan is a tree whose first row says who made it, and every refusal is one of the server's.
#[test]
fn every_statement_has_a_readable_plan_or_a_refusal() {
    let servers = servers();
    if servers.engine().is_tidb() {
        return;
    }
    let selects = [
        "*",
        "COUNT(*)",
        "DISTINCT t.id",
        "MAX(t.id) OVER (PARTITION BY t.id)",
        "(SELECT MIN(country) FROM shop.customers x WHERE x.id = t.id)",
    ];
    let froms = [
        "shop.products t",
        "shop.orders AS t LEFT JOIN shop.customers c ON c.id = t.customer_id",
        "shop.customers c RIGHT JOIN shop.orders t ON c.id = t.customer_id",
        "shop.products t, shop.products u",
        "shop.products t NATURAL JOIN shop.products u",
        "(SELECT id, COUNT(*) AS n FROM shop.products GROUP BY id LIMIT 3) t",
        "(SELECT 1 AS id UNION SELECT id FROM shop.products) AS `t`",
        "information_schema.COLLATIONS t",
        "shop.products t JOIN (shop.orders o JOIN shop.order_items i ON i.order_id = o.id) ON t.id = i.product_id",
    ];
    let wheres = [
        "",
        "WHERE t.id = 5",
        "WHERE t.id IN (SELECT order_id FROM shop.order_items WHERE quantity > 2)",
        "WHERE t.id NOT IN (SELECT id FROM shop.customers)",
        "WHERE t.id IS NULL OR t.id BETWEEN 1 AND 9",
    ];
    let ends = [
        "",
        "GROUP BY t.id HAVING COUNT(*) > 1 ORDER BY 1 DESC LIMIT 2",
        "ORDER BY t.id LIMIT 4, 5",
        "UNION ALL SELECT 7",
        "LIMIT 0",
        "FOR UPDATE",
    ];
    let begins = [
        "EXPLAIN FORMAT = 'brief'",
        "EXPLAIN",
        "EXPLAIN ANALYZE",
        "DESC FORMAT = 'verbose'",
        "EXPLAIN FORMAT = 'tidb_json'",
    ];
    let mut plans = 0;
    let mut turn = 0;
    for select in selects {
        for from in froms {
            for condition in wheres {
                for end in ends {
                    turn += 1;
                    // A full product takes minutes: neighbours are tried with different beginnings.
                    if turn % 3 != 0 || (from.contains("information_schema") && turn % 2 == 0) {
                        continue;
                    }
                    let begin = if from.contains(", ") { begins[0] } else { begins[turn / 3 % begins.len()] };
                    let query = format!("{begin} SELECT {select} FROM {from} {condition} {end}");
                    match run(&servers, Role::Admin, &query) {
                        SqlOutcome::Rows { types, rows, .. } => {
                            check(&query, types.len(), &rows);
                            plans += 1;
                        }
                        SqlOutcome::Refused { code, .. } => {
                            assert!([1052, 1054, 1055, 1060, 1140, 1222].contains(&code), "{query}: {code}")
                        }
                        other => panic!("{query}: {other:?}"),
                    }
                }
            }
        }
    }
    assert!(plans > 250, "{plans}");
}

fn check(query: &str, columns: usize, rows: &[Vec<Option<String>>]) {
    let first = rows[0].iter().flatten().any(|cell| cell.contains("made by the sandbox"));
    assert!(first && rows.iter().all(|row| row.len() == columns), "{query}: {rows:?}");
    if columns == 1 {
        return;
    }
    let names: Vec<_> = rows.iter().map(|row| row[0].clone().unwrap()).collect();
    assert!(
        names[0].chars().all(|character| character.is_ascii_alphanumeric() || character == '_'),
        "{query}: {names:?}"
    );
    assert!(names[1..].iter().all(|name| name.contains("├─") || name.contains("└─")), "{query}: {names:?}");
    for row in rows {
        let estimated = row[1].as_deref().unwrap();
        assert!(estimated == "N/A" || estimated.parse::<f64>().is_ok_and(|rows| rows >= 0.0), "{query}: {row:?}");
    }
}
