//! What may pass: reads for the tool that reads, single whole statements for the tool that writes.

use super::{
    Reason, account, functions,
    harm::{DATA, EXPLAIN, spares},
    is_system_secret_schema,
    lexer::{Token, tokens},
    variables,
    walk::{after_parentheses, main_of_with, one_of, outside, starts_as_query},
};

/// What a statement is to the tool that reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Known to change nothing.
    Read,
    /// Known to change something.
    Write,
    /// Neither known, or not to be run at all.
    Reject(Reason),
}

/// What the tool that writes has to know of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// It commits whatever transaction it runs in, and needs an administrator.
    pub ddl: bool,
    /// It holds a password.
    pub carries_password: bool,
    /// It begins or ends a transaction.
    pub transaction_control: bool,
    /// It makes an account of a name that is none yet, where the server's mode lets it.
    pub may_make_account: bool,
    /// It changes a session that ends with the request.
    pub session_state: bool,
    /// It is not known to leave everything behind that it does not name: it drops, empties, grants, or changes all rows.
    pub destructive: bool,
}

/// Changes of schema and accounts. Each commits by itself.
pub(super) const SCHEMA: &[&str] =
    &["create", "alter", "drop", "truncate", "rename", "recover", "flashback", "grant", "revoke", "analyze", "split"];

const TRANSACTION: &[&str] = &["begin", "start", "commit", "rollback", "savepoint", "release", "xa"];

const SESSION: &[&str] = &["set", "use", "prepare", "execute", "deallocate", "lock", "unlock"];

/// What `EXPLAIN FORMAT =` takes. <https://docs.pingcap.com/tidb/stable/sql-statement-explain>
const FORMATS: &[&str] = &[
    "row",
    "brief",
    "verbose",
    "dot",
    "json",
    "tidb_json",
    "traditional",
    "plan_tree",
    "cost_trace",
    "hint",
    "binary",
    "true_card_cost",
];

/// What may follow `SHOW`, after `FULL`, `EXTENDED`, `GLOBAL` or `SESSION`: metadata without other users' SQL, password
/// hashes or storage credentials.
const SHOW: &[&[&str]] = &[
    &["databases"],
    &["schemas"],
    &["tables"],
    &["open", "tables"],
    &["table", "status"],
    &["columns"],
    &["fields"],
    &["index"],
    &["indexes"],
    &["keys"],
    &["create", "table"],
    &["create", "view"],
    &["create", "database"],
    &["create", "schema"],
    &["create", "sequence"],
    &["variables"],
    &["status"],
    &["warnings"],
    &["errors"],
    &["character", "set"],
    &["charset"],
    &["collation"],
    &["engines"],
    &["privileges"],
    &["builtins"],
    &["grants"],
    &["processlist"],
    &["stats_meta"],
    &["stats_healthy"],
    &["stats_histograms"],
    &["stats_topn"],
    &["stats_buckets"],
    &["stats_extended"],
    &["analyze", "status"],
];

/// What a statement is to the tool that reads: an allow-list.
///
/// The text is read twice, with and without backslash escapes: the server's mode is not known here, and text that means
/// two things is refused. Where the second reading ends inside a quote, or meets a backslash outside of one, a server in
/// that mode would refuse the text itself.
pub fn classify(sql: &str) -> Class {
    match tokens(sql, true) {
        Err(fault) => Class::Reject(fault.reason),
        Ok(read) => {
            let class = of_statement(&read);
            match tokens(sql, false) {
                Err(fault) if fault.hopeless => class,
                Ok(other) if of_statement(&other) == class => class,
                _ => Class::Reject(Reason::Backslash),
            }
        }
    }
}

/// What the tool that writes may run: exactly one statement of a known kind.
///
/// # Errors
/// Why it is not run.
pub fn inspect(sql: &str) -> Result<Statement, Reason> {
    let statement = of_write(&tokens(sql, true).map_err(|fault| fault.reason)?)?;
    match tokens(sql, false) {
        Err(fault) if fault.hopeless => Ok(statement),
        Ok(other) if of_write(&other) == Ok(statement) => Ok(statement),
        _ => Err(Reason::Backslash),
    }
}

/// Whether a statement that runs is a `SHOW VARIABLES`: its answer has the name of a variable in the first column.
pub fn shows_variables(sql: &str) -> bool {
    tokens(sql, true).is_ok_and(|tokens| variables::shown(&tokens).is_some())
}

fn of_write(tokens: &[Token]) -> Result<Statement, Reason> {
    forbidden_everywhere(tokens)?;
    account::check(tokens)?;
    kept_for_later(tokens)?;
    let writes_file = tokens
        .windows(2)
        .any(|pair| matches!(pair, [into, file] if into.is("into") && one_of(Some(file), &["outfile", "dumpfile"])));
    if writes_file {
        return Err(Reason::Into);
    }
    let first = tokens.iter().find(|token| **token != Token::Symbol('('));
    let known = one_of(first, &["select", "table", "values", "with", "show", "batch"])
        || [DATA, SCHEMA, TRANSACTION, SESSION, EXPLAIN].iter().any(|words| one_of(first, words));
    if !known {
        return Err(Reason::Statement);
    }
    // What these show may be a password hash or a storage credential, whoever asks.
    if tokens.first().is_some_and(|first| first.is("show")) {
        show(tokens)?;
    }
    if one_of(tokens.first(), EXPLAIN)
        && let Class::Reject(reason) = explain(tokens.get(1..).unwrap_or_default())
    {
        return Err(reason);
    }
    let sets_password = matches!(tokens, [set, password, ..] if set.is("set") && password.is("password"));
    Ok(Statement {
        ddl: one_of(first, SCHEMA),
        carries_password: sets_password
            || (one_of(first, &["create", "alter", "grant"]) && tokens.iter().any(|token| token.is("identified"))),
        transaction_control: one_of(first, TRANSACTION),
        may_make_account: one_of(first, &["grant"]),
        session_state: one_of(first, SESSION),
        destructive: !spares(tokens),
    })
}

fn of_statement(tokens: &[Token]) -> Class {
    let class = shape(tokens);
    if class != Class::Read {
        return class;
    }
    match within_a_read(tokens) {
        Ok(class) => class,
        Err(reason) => Class::Reject(reason),
    }
}

/// What a statement is by its first words.
fn shape(tokens: &[Token]) -> Class {
    let Some(first) = tokens.first() else { return Class::Reject(Reason::Empty) };
    if first == &Token::Symbol('(') || one_of(Some(first), &["select", "table", "values", "with"]) {
        return query(tokens);
    }
    if one_of(Some(first), EXPLAIN) {
        return explain(tokens.get(1..).unwrap_or_default());
    }
    if first.is("show") {
        return show(tokens).map_or_else(Class::Reject, |()| Class::Read);
    }
    if one_of(Some(first), DATA) || one_of(Some(first), SCHEMA) || first.is("batch") {
        return Class::Write;
    }
    Class::Reject(Reason::Statement)
}

/// A query by itself, or the main part of a `WITH`.
fn query(tokens: &[Token]) -> Class {
    let tokens = after_parentheses(tokens);
    match tokens.first() {
        Some(first) if first.is("with") => match main_of_with(tokens) {
            Some(main) if one_of(main.first(), DATA) => Class::Write,
            Some(main) if starts_as_query(main) => Class::Read,
            _ => Class::Reject(Reason::Structure),
        },
        _ if starts_as_query(tokens) => Class::Read,
        _ => Class::Reject(Reason::Statement),
    }
}

/// After `EXPLAIN`: a query, a change of data, or a table and perhaps a column of it.
fn explain(tokens: &[Token]) -> Class {
    let mut rest = tokens;
    if one_of(rest.first(), &["analyze"]) {
        rest = rest.get(1..).unwrap_or_default();
    }
    if let [format, Token::Symbol('='), value, after @ ..] = rest
        && format.is("format")
    {
        let name = match value {
            Token::Word(name) | Token::Single(name) | Token::Double(name) => name.as_str(),
            _ => "",
        };
        if !FORMATS.contains(&name) {
            return Class::Reject(Reason::Structure);
        }
        rest = after;
    }
    if starts_as_query(rest) || one_of(after_parentheses(rest).first(), &["with"]) {
        return query(rest);
    }
    if one_of(rest.first(), DATA) {
        return Class::Write;
    }
    let plain = rest.len() == tokens.len();
    // `EXPLORE` takes a text for a statement.
    let keyword = [&["for", "format", "with", "explore", "analyze"], DATA, SCHEMA, TRANSACTION, SESSION, EXPLAIN]
        .iter()
        .any(|words| one_of(rest.first(), words));
    // A string here is the digest of a plan, of whoever ran it, or a statement.
    let table = match rest {
        [Token::Word(_) | Token::Name(_), Token::Symbol('.'), Token::Word(_) | Token::Name(_), after @ ..]
        | [Token::Word(_) | Token::Name(_), after @ ..] => Some(after),
        _ => None,
    };
    match table {
        Some([] | [Token::Word(_) | Token::Name(_)]) if plain && !keyword => Class::Read,
        _ => Class::Reject(Reason::Structure),
    }
}

fn show(tokens: &[Token]) -> Result<(), Reason> {
    let rest = tokens.get(1..).unwrap_or_default();
    let modifiers =
        rest.iter().take_while(|token| one_of(Some(token), &["full", "extended", "global", "session"])).count();
    let rest = rest.get(modifiers..).unwrap_or_default();
    let begins =
        |words: &&[&str]| rest.len() >= words.len() && words.iter().zip(rest).all(|(word, token)| token.is(word));
    if !SHOW.iter().any(begins) {
        return Err(Reason::Show);
    }
    // Rows with secrets are left out of the answer; whether a row is there must not depend on what the secret is.
    let condition = variables::shown(tokens).unwrap_or_default();
    if condition.iter().any(|token| token.name() == Some("value")) { Err(Reason::VariableValue) } else { Ok(()) }
}

/// What a server keeps and runs later: a view is a read, and a binding is the statement that stands in it, not one that
/// a digest stands for.
fn kept_for_later(tokens: &[Token]) -> Result<(), Reason> {
    if !tokens.first().is_some_and(|first| one_of(Some(first), &["create", "alter"])) {
        return Ok(());
    }
    let head = outside(tokens).take_while(|(_, token)| !one_of(Some(token), &["as", "table", "using", "for"]));
    let kind = head.map(|(_, token)| token).find(|token| one_of(Some(token), &["view", "binding"]));
    if one_of(kind, &["binding"]) && tokens.iter().any(|token| one_of(Some(token), &["history", "digest"])) {
        return Err(Reason::Digest);
    }
    let query = outside(tokens).find(|(_, token)| token.is("as")).and_then(|(at, _)| tokens.get(at + 1..));
    match query.filter(|_| one_of(kind, &["view"])).map(within_a_read).transpose()? {
        Some(Class::Write) => Err(Reason::Sequence("NEXTVAL".to_owned())),
        _ => Ok(()),
    }
}

/// What no tool runs, wherever in a statement it stands.
fn forbidden_everywhere(tokens: &[Token]) -> Result<(), Reason> {
    for (index, token) in tokens.iter().enumerate() {
        if let Token::Hint(hint) = token
            && ["set_var", "resource_group"].iter().any(|word| hint.contains(word))
        {
            return Err(Reason::Hint);
        }
        if token.name().is_some_and(is_system_secret_schema) && names_schema(tokens, index) {
            return Err(Reason::SystemSchema);
        }
    }
    variables::check(tokens)?;
    functions::unlisted_call(tokens).map_or(Ok(()), |name| Err(Reason::Function(name.to_owned())))
}

/// Whether the name at this place is a schema's: before a dot, after `DATABASE` or `SCHEMA`, or anywhere in a `SHOW`, which has
/// many ways to name one.
fn names_schema(tokens: &[Token], at: usize) -> bool {
    let before = tokens.get(..at).unwrap_or_default();
    let introduced = before.iter().rev().find(|token| !one_of(Some(token), &["if", "not", "exists"]));
    tokens.get(at + 1) == Some(&Token::Symbol('.'))
        || one_of(introduced, &["database", "schema"])
        || one_of(tokens.first(), &["show"])
}

/// What must not stand anywhere in a read; a read that advances a sequence is a write.
fn within_a_read(tokens: &[Token]) -> Result<Class, Reason> {
    forbidden_everywhere(tokens)?;
    let mut class = Class::Read;
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        let calls = next == Some(&Token::Symbol('('));
        match token {
            Token::Assign => return Err(Reason::Assignment),
            // Hints of a read stand after SELECT only.
            Token::Hint(_)
                if !index
                    .checked_sub(1)
                    .and_then(|before| tokens.get(before))
                    .is_some_and(|before| before.is("select")) =>
            {
                return Err(Reason::Hint);
            }
            Token::Word(word) => match word.as_str() {
                "into" => return Err(Reason::Into),
                "procedure" => return Err(Reason::Statement),
                // The default of a column may be the next number of a sequence, and it is taken where it is asked for.
                "default" if calls => return Err(Reason::Sequence("DEFAULT(column)".to_owned())),
                "for" if one_of(next, &["update", "share"]) => return Err(Reason::Locks),
                "lock" if one_of(next, &["in"]) => return Err(Reason::Locks),
                "next" if one_of(next, &["value"]) && one_of(tokens.get(index + 2), &["for"]) => class = Class::Write,
                _ => {}
            },
            Token::Symbol('(') if one_of(next, DATA) && tokens.get(index + 2) != Some(&Token::Symbol('(')) => {
                return Err(Reason::Statement);
            }
            _ => {}
        }
        if calls && token.name().is_some_and(|name| functions::ADVANCING.contains(&name)) {
            class = Class::Write;
        }
    }
    Ok(class)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Class, Reason, classify, inspect};

    /// Escapes of the case file: `\n \r \t \v \f \0 \\ \uXXXX`, and `\*{n}{x}` for x repeated n times.
    fn unescape(text: &str) -> String {
        let mut result = String::new();
        let mut rest = text;
        while let Some(index) = rest.find('\\') {
            result.push_str(&rest[..index]);
            rest = &rest[index + 1..];
            let kind = rest.chars().next().expect("an escape");
            rest = &rest[kind.len_utf8()..];
            match kind {
                'n' => result.push('\n'),
                'r' => result.push('\r'),
                't' => result.push('\t'),
                'v' => result.push('\u{b}'),
                'f' => result.push('\u{c}'),
                '0' => result.push('\0'),
                '\\' => result.push('\\'),
                'u' => {
                    let code = u32::from_str_radix(&rest[..4], 16).expect("four hexadecimal digits");
                    result.push(char::from_u32(code).expect("a character"));
                    rest = &rest[4..];
                }
                '*' => {
                    let (count, after) = rest[1..].split_once("}{").expect("{n}{x}");
                    let (text, after) = after.split_once('}').expect("{n}{x}");
                    result.push_str(&text.repeat(count.parse().expect("a number")));
                    rest = after;
                }
                other => panic!("unknown escape {other}"),
            }
        }
        result + rest
    }

    fn cases() -> Vec<(String, String, String)> {
        include_str!("../../tests/cases/sql-gate.tsv")
            .lines()
            .skip(1)
            .map(|line| {
                let mut fields = line.split('\t');
                let mut field = || fields.next().expect("three fields").to_owned();
                (unescape(&field()), field(), field())
            })
            .collect()
    }

    fn word(class: Class) -> &'static str {
        match class {
            Class::Read => "read",
            Class::Write => "write",
            Class::Reject(_) => "reject",
        }
    }

    #[test]
    fn every_case_is_classified_as_it_says() {
        let wrong: Vec<_> = cases()
            .into_iter()
            .filter(|(sql, expected, _)| word(classify(sql)) != expected)
            .map(|(sql, expected, why)| format!("{:.80} is {:?}, expected {expected}: {why}", sql, classify(&sql)))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(cases().len() > 200);
    }

    #[test]
    fn a_refusal_names_its_reason() {
        for (sql, reason) in [
            ("-- nothing", Reason::Empty),
            ("SELECT (1", Reason::Unbalanced),
            ("SELECT 'a", Reason::Unterminated),
            ("SELECT {d '2026-01-01'}", Reason::Characters),
            ("SELECT 1 */", Reason::Comment),
            ("SELECT 1 /*! INTO @x */", Reason::ExecutableComment),
            ("SELECT 1 /*+ MAX_EXECUTION_TIME(1) */", Reason::Hint),
            ("SELECT /*+ SET_VAR(sql_mode='') */ 1", Reason::Hint),
            ("SELECT 1into FROM t", Reason::NumberRunsOn),
            ("SELECT 1; SELECT 2", Reason::SeveralStatements),
            ("SELECT 'a\\' INTO @x -- '", Reason::Backslash),
            ("CALL p()", Reason::Statement),
            ("WITH c AS (SELECT 1)", Reason::Structure),
            ("EXPLAIN FOR CONNECTION 1", Reason::Structure),
            ("SHOW CREATE USER root", Reason::Show),
            ("SELECT 1 INTO @x", Reason::Into),
            ("SELECT * FROM t FOR SHARE", Reason::Locks),
            ("SELECT \"sleep\"(10)", Reason::Function("sleep".to_owned())),
            ("SELECT * FROM `mysql` . user", Reason::SystemSchema),
            ("SELECT @a := 1", Reason::Assignment),
        ] {
            assert_eq!(classify(sql), Class::Reject(reason), "{sql}");
        }
        assert_eq!(classify(&"(".repeat(101)), Class::Reject(Reason::TooDeep));
        assert_eq!(classify(&"x".repeat(65_537)), Class::Reject(Reason::TooLong));
    }

    #[test]
    fn the_schema_of_accounts_is_closed_without_a_dot_too() {
        for sql in [
            "ALTER DATABASE mysql CHARACTER SET utf8mb4",
            "CREATE DATABASE IF NOT EXISTS `MYSQL`",
            "DROP SCHEMA mysql",
            "FLASHBACK DATABASE mysql TO m",
            "DROP DATABASE IF EXISTS mysql",
        ] {
            assert_eq!(inspect(sql), Err(Reason::SystemSchema), "{sql}");
        }
    }

    #[test]
    fn a_write_is_known_before_it_runs() {
        let statement = |sql| inspect(sql).unwrap_or_else(|reason| panic!("{sql}: {reason:?}"));
        assert!(!statement("INSERT INTO t SELECT 'DROP TABLE t'").ddl);
        for sql in [
            "CREATE TABLE t (id INT)",
            "drop table t",
            "/* x */ TRUNCATE t",
            "GRANT SELECT ON d.* TO u",
            "ALTER TABLE t ADD b INT",
        ] {
            assert!(statement(sql).ddl, "{sql}");
        }
        for sql in [
            "GRANT SELECT ON d.* TO u IDENTIFIED BY 'p'",
            "ALTER USER u identified/**/WITH x AS 'p'",
            "SET PASSWORD = 'p'",
        ] {
            assert!(statement(sql).carries_password, "{sql}");
        }
        for sql in ["SELECT 'identified', `identified` FROM t", "UPDATE animals SET identified = 1 WHERE id = 2"] {
            assert!(!statement(sql).carries_password, "{sql}");
        }
        assert!(inspect("INSERT INTO sleep (hours) VALUES (8)").is_ok(), "a table may have a function's name");
        assert_eq!(inspect("INSERT INTO t (a) SELECT SLEEP(9)"), Err(Reason::Function("sleep".to_owned())));
        for sql in ["BEGIN", "START TRANSACTION", "commit", "ROLLBACK", "SAVEPOINT a"] {
            assert!(statement(sql).transaction_control, "{sql}");
        }
        for sql in ["USE d", "SET @a = 1", "PREPARE s FROM 'x'", "LOCK TABLES t READ"] {
            assert!(statement(sql).session_state, "{sql}");
        }
        for (sql, reason) in [
            ("INSERT INTO t VALUES (1); DROP TABLE t", Reason::SeveralStatements),
            ("INSERT INTO t /*! SELECT */ VALUES (1)", Reason::ExecutableComment),
            ("LOAD DATA INFILE '/etc/passwd' INTO TABLE t", Reason::Statement),
            ("SELECT * FROM t INTO OUTFILE '/tmp/x'", Reason::Into),
            ("INSERT INTO t VALUES (LOAD_FILE('/etc/passwd'))", Reason::Function("load_file".to_owned())),
            ("DELETE FROM mysql.user", Reason::SystemSchema),
            ("INSERT INTO t VALUES ('a\\'); DROP TABLE t; -- ')", Reason::Backslash),
            ("KILL 1", Reason::Statement),
            ("ADMIN CANCEL DDL JOBS 1", Reason::Statement),
            ("SHOW CREATE USER 'root'@'%'", Reason::Show),
            ("SHOW IMPORT JOBS", Reason::Show),
            ("EXPLAIN FOR CONNECTION 1", Reason::Structure),
        ] {
            assert_eq!(inspect(sql), Err(reason), "{sql}");
        }
    }

    #[test]
    fn a_write_runs_or_is_refused_by_what_is_wrong_with_it() {
        let rows = include_str!("../../tests/cases/sql-writes.tsv").lines().skip(1);
        let wrong: Vec<_> = rows
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .filter_map(|fields| {
                let (sql, expected) = (unescape(fields[0]), fields[1]);
                let answer = inspect(&sql).map_or_else(|reason| reason.sentence(), |_| "runs".to_owned());
                (!answer.contains(expected)).then(|| format!("{sql}: {answer} and not {expected}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_destroys_is_known_before_it_runs() {
        let mut seen = [0, 0];
        let mut wrong = Vec::new();
        for line in include_str!("../../tests/cases/destructive.tsv").lines().skip(1) {
            let mut fields = line.split('\t');
            let (sql, expected) = (unescape(fields.next().expect("SQL")), fields.next().expect("a word"));
            let statement = inspect(&sql).unwrap_or_else(|reason| panic!("{sql}: {reason:?}"));
            if statement.destructive != (expected == "destroys") {
                wrong.push(format!("{sql} is not {expected}"));
            }
            seen[usize::from(statement.destructive)] += 1;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(seen[0] > 20 && seen[1] > 20, "{seen:?}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,200}") {
            let _ = classify(&text);
            let _ = inspect(&text);
        }

        /// Comments, blanks, case and parentheses are no way around the gate.
        #[test]
        fn what_is_no_read_stays_none(pick in any::<prop::sample::Index>(), blanks in prop::collection::vec(0..5_usize, 64), upper in any::<bool>(), wrapped in any::<bool>()) {
            let all: Vec<_> = cases().into_iter().filter(|(sql, expected, _)| expected != "read" && !sql.contains(['\'', '"', '`', '\\', '#', '\n', '\r']) && !sql.contains("--") && !sql.contains("/*")).collect();
            let (sql, expected, _) = &all[pick.index(all.len())];
            let mut changed = String::new();
            for (index, part) in sql.split(' ').enumerate() {
                if index > 0 {
                    changed.push_str([" ", "\t", "/**/", " /* x */ ", "\n"][blanks[index % blanks.len()]]);
                }
                changed.push_str(part);
            }
            if upper { changed = changed.to_uppercase(); }
            if wrapped { changed = format!("({changed})"); }
            prop_assert_ne!(classify(&changed), Class::Read, "{:?} was {}", changed, expected);
        }
    }
}
