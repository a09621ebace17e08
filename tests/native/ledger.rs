//! A database of one table, for tests that run more statements than a SQL server would have time for.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use tidbcloud_sandbox::exchange::{Column, Role, SqlOutcome, SqlTask};

use crate::world::Native;

/// The table `shop.ledger (entry BIGINT)`, and open transactions by their session.
#[derive(Default)]
pub struct Ledger {
    /// The rows, in the order in which they were committed.
    pub entries: Vec<u64>,
    open: BTreeMap<String, Vec<u64>>,
    sessions: u64,
}

impl Ledger {
    /// Puts a ledger behind every instance of this world.
    pub fn behind(server: &Native) -> Rc<RefCell<Self>> {
        let ledger = Rc::<RefCell<Self>>::default();
        let database = Rc::clone(&ledger);
        server.world.database.replace(Some(Box::new(move |task| database.borrow_mut().run(task))));
        ledger
    }

    /// The insert of one entry.
    pub fn insert(entry: u64) -> String {
        format!("INSERT INTO shop.ledger VALUES ({entry})")
    }

    /// Reads all entries.
    pub const SELECT: &str = "SELECT 'entries of shop.ledger'";

    /// How often an entry is there.
    pub fn count(&self, entry: u64) -> usize {
        self.entries.iter().filter(|one| **one == entry).count()
    }

    fn run(&mut self, task: &SqlTask) -> SqlOutcome {
        let statement = without_comments(&task.query);
        let session = match task.session.as_str() {
            "" => {
                self.sessions += 1;
                format!("session-{}", self.sessions)
            }
            session => session.to_owned(),
        };
        let done = |rows_affected| SqlOutcome::Done {
            rows_affected,
            last_insert_id: "0".to_owned(),
            session: session.clone(),
        };
        match statement.as_str() {
            "BEGIN" => {
                self.open.insert(session.clone(), Vec::new());
                done(0)
            }
            "COMMIT" => {
                self.entries.extend(self.open.remove(&session).unwrap_or_default());
                done(0)
            }
            "ROLLBACK" => {
                self.open.remove(&session);
                done(0)
            }
            Self::SELECT => {
                let column = Column { name: "entry".to_owned(), kind: "BIGINT".to_owned(), nullable: false };
                let rows = self.entries.iter().map(|entry| vec![Some(entry.to_string())]).collect();
                SqlOutcome::Rows { types: vec![column], rows, session }
            }
            // No entry gives any.
            "SHOW WARNINGS" => {
                let column =
                    |name: &str, kind: &str| Column { name: name.to_owned(), kind: kind.to_owned(), nullable: true };
                let types = vec![column("Level", "VARCHAR"), column("Code", "BIGINT"), column("Message", "VARCHAR")];
                SqlOutcome::Rows { types, rows: Vec::new(), session }
            }
            // What is sent before a write to see whether SQL works again.
            "SELECT 1" => {
                let column = Column { name: "1".to_owned(), kind: "BIGINT".to_owned(), nullable: false };
                SqlOutcome::Rows { types: vec![column], rows: vec![vec![Some("1".to_owned())]], session }
            }
            insert => {
                let entry =
                    insert.strip_prefix("INSERT INTO shop.ledger VALUES (").and_then(|rest| rest.strip_suffix(')'));
                let entry = entry.and_then(|digits| digits.parse().ok());
                let entry: u64 = entry.unwrap_or_else(|| panic!("the ledger does not know the statement {insert}"));
                if task.role == Role::ReadOnly {
                    let message = "INSERT command denied to user".to_owned();
                    return SqlOutcome::Refused { code: 1142, sqlstate: "42000".to_owned(), message };
                }
                self.open.get_mut(&session).unwrap_or(&mut self.entries).push(entry);
                done(1)
            }
        }
    }
}

/// A statement without its comments, hints and more space than it needs.
fn without_comments(sql: &str) -> String {
    let mut left = sql;
    let mut clean = String::new();
    while let Some((before, rest)) = left.split_once("/*") {
        clean.push_str(before);
        left = rest.split_once("*/").map_or("", |(_, after)| after);
    }
    clean.push_str(left);
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}
