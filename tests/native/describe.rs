//! `db_describe` where a conversation would be too long: many tables, long definitions, odd names.

use serde_json::{Value, json};

use crate::{
    confirm::result,
    support::{Driver, bad_inputs::tool},
    world::Native,
};

const CLUSTER: &str = "1379661944646413143";
/// Bytes of `structuredContent` that one HTTP request is answered with.
const RESULT_BYTES_MAX: usize = 18_000;

fn execute(server: &mut Native, sql: Value) {
    let done = result(&server.send(tool("db_execute", json!({"cluster": CLUSTER, "sql": sql}))));
    assert!(done["error"].is_null(), "{done}");
    server.advance(10);
}

fn describe(server: &mut Native, database: &str, tables: &str) -> Value {
    let arguments = json!({"cluster": CLUSTER, "database": database, "tables": tables});
    let described = result(&server.send(tool("db_describe", arguments)));
    let bytes = described.to_string().len();
    assert!(bytes <= RESULT_BYTES_MAX, "an answer fits, and this one has {bytes} bytes");
    assert!(described["error"].is_null(), "{described}");
    server.advance(10);
    described
}

fn schema(described: &Value) -> &str {
    described["schema"].as_str().unwrap_or_else(|| panic!("a schema: {described}"))
}

#[test]
fn what_does_not_fit_is_cut_at_whole_tables_and_said() {
    let mut server = Native::new();
    execute(&mut server, json!("CREATE DATABASE wide"));
    let name = |number: usize| format!("t_{number:03}_{}", "n".repeat(57));
    for chunk in (0..300).collect::<Vec<_>>().chunks(20) {
        let sql: Vec<_> = chunk.iter().map(|number| format!("CREATE TABLE wide.{} (id INT)", name(*number))).collect();
        execute(&mut server, json!(sql));
    }
    let all = describe(&mut server, "wide", "%");
    let returned = all["returned"].as_u64().unwrap() as usize;
    assert_eq!((&all["total"], &all["truncated"]), (&json!(300), &json!(true)));
    assert!((20..300).contains(&returned), "{returned} of 300 lines fit");
    assert_eq!(schema(&all).lines().count(), returned + 1, "each table has a whole line, under a head");
    assert!(schema(&all).lines().last().is_some_and(|line| line.starts_with(&name(returned - 1))), "by name");
    assert!(all["notice"].as_str().is_some_and(|notice| notice.contains("of 300") && notice.contains("`tables`")));
    assert!(all["schemaHash"].is_null(), "tables that were not read cannot be known to be unchanged: {all}");
    let some = describe(&mut server, "wide", "t_00%");
    assert_eq!((&some["returned"], some["schemaHash"].is_string()), (&json!(10), true), "more than 8 are listed");
    assert!(!schema(&some).contains("CREATE TABLE"));
    let one = describe(&mut server, "wide", "t_001%");
    assert_eq!(schema(&one).lines().next(), Some(format!("CREATE TABLE {} (", name(1)).as_str()));

    let columns = |count: usize| {
        (0..count).map(|number| format!("c{number:03}{} INT NOT NULL", "o".repeat(40))).collect::<Vec<_>>().join(", ")
    };
    let tables: Vec<_> = (0..6).map(|number| format!("CREATE TABLE wide.long_{number} ({})", columns(80))).collect();
    execute(&mut server, json!(tables));
    let long = describe(&mut server, "wide", "long%");
    assert_eq!((&long["total"], &long["truncated"], long["schemaHash"].is_string()), (&json!(6), &json!(true), true));
    let (begun, ended) = (schema(&long).matches("CREATE TABLE").count(), schema(&long).matches("\n);").count());
    assert!(
        begun == ended && (1..6).contains(&begun) && long["returned"] == begun,
        "whole definitions: {begun}, {ended}"
    );
    execute(&mut server, json!(format!("CREATE TABLE wide.longest ({})", columns(500))));
    let longest = describe(&mut server, "wide", "longest");
    assert!(schema(&longest).starts_with("CREATE TABLE longest (\nc000"), "the beginning is shown");
    assert!(
        longest["truncated"] == true && longest["notice"].as_str().is_some_and(|notice| notice.contains("COLUMNS"))
    );
    assert!(longest["schemaHash"].is_null(), "its end is not known");
}

#[test]
fn names_with_quotes_and_backslashes_are_names() {
    let mut server = Native::new();
    let (database, table) = (r"o'd\d `db`", "a`b 'c' \"d\"");
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    execute(
        &mut server,
        json!([
            format!("CREATE DATABASE {}", quoted(database)),
            format!("CREATE TABLE {}.{} (`order` INT PRIMARY KEY, `x y` INT)", quoted(database), quoted(table)),
        ]),
    );
    let all = describe(&mut server, database, "%");
    assert!(schema(&all).lines().any(|line| line.starts_with(&format!("{} | table", quoted(table)))), "{all}");
    let one = describe(&mut server, database, "a`b 'c'%");
    let expected =
        format!("CREATE TABLE {} (\n`order` int NOT NULL,\n`x y` int,\nPRIMARY KEY (`order`)", quoted(table));
    assert!(schema(&one).starts_with(&expected), "{one}");
}

/// TiDB lists a view for those who may select from it, and shows its statement only to those who may show views.
#[test]
fn a_definition_that_is_refused_leaves_the_others() {
    let mut server = Native::new();
    execute(
        &mut server,
        json!([
            "CREATE DATABASE some",
            "CREATE TABLE some.a (id INT)",
            "CREATE VIEW some.`b c` AS SELECT id FROM some.a",
            "CREATE TABLE some.d (id INT)"
        ]),
    );
    assert!(describe(&mut server, "some", "_%")["schemaHash"].is_string(), "all of it was read");
    // The list comes first, then each definition.
    let message = "Error 1142 (42000): SHOW VIEW command denied to user 'x'@'%' for table 'b c'";
    let fault = json!({"do": "status", "status": 400, "body": {"message": message, "code": "1142"},
        "match": {"path": "/v1beta/sql", "after": 2}});
    server.admin("POST", "/_sandbox/faults", Some(json!({"faults": [fault]})));
    let described = describe(&mut server, "some", "_%");
    let schema = schema(&described);
    assert!(schema.contains("CREATE TABLE a (") && schema.contains("CREATE TABLE d ("), "the others: {described}");
    assert!(
        schema.contains("\n-- view `b c`: ") && schema.contains("SHOW VIEW command denied"),
        "why not: {described}"
    );
    assert_eq!((&described["returned"], &described["truncated"]), (&json!(3), &json!(false)), "{described}");
    assert!(described["schemaHash"].is_null(), "what was not read cannot be known to be unchanged: {described}");
}
