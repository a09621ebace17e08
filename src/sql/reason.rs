//! Why a statement is not run, in words for the model.

use super::STATEMENT_BYTES_MAX;

/// Why a statement is not run. Each names the word at fault, if there is one, and one thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing but comments.
    Empty,
    /// Longer than [`STATEMENT_BYTES_MAX`].
    TooLong,
    /// More than 100 parentheses inside each other.
    TooDeep,
    /// Parentheses do not match.
    Unbalanced,
    /// This quote is not closed.
    Unterminated(char),
    /// A character that SQL parsers disagree about.
    Characters(char),
    /// A comment that SQL parsers disagree about.
    Comment,
    /// An executable comment in a place where none is allowed, or one that changes the kind of statement.
    ExecutableComment,
    /// A hint in the wrong place.
    HintPlace,
    /// A hint that changes settings.
    Hint(&'static str),
    /// A hint that TiDB may not parse, and its name if it has one.
    HintUnclear(String),
    /// A hint that sets a limit which the server sets itself.
    Limit(&'static str),
    /// An order within parentheses, and a clause after them.
    OrderInParentheses,
    /// A number that runs on as a word.
    NumberRunsOn(String),
    /// More than one statement.
    SeveralStatements,
    /// A backslash in a string that one mode of the server reads as an escape and another does not.
    Backslash,
    /// An unknown first word, and the one that was probably meant.
    Unknown(String, Option<&'static str>),
    /// A statement or a clause that TiDB does not have.
    Missing(String),
    /// Routines, which TiDB does not have.
    Routine(String),
    /// A statement whose effect ends with the session, and what to do instead.
    Session(String, &'static str),
    /// A statement whose effect outlives the session, on more than data and schema.
    Lasting(String),
    /// A statement that begins or ends a transaction.
    Transaction(String),
    /// A statement that reads files.
    Files(String),
    /// A statement that is neither a query nor a change of data or schema.
    Operator(String),
    /// It holds a password.
    Password(String),
    /// Something else than a query in parentheses.
    Nested(String),
    /// A word that cannot follow `WITH`, `EXPLAIN` or `TRACE`.
    Structure(String),
    /// A format that `EXPLAIN` or `TRACE` does not have.
    Format(String),
    /// `SHOW` of something that is not on the list.
    Show(String),
    /// A query within a `SHOW`, where nothing limits it.
    ShowQuery,
    /// `INTO`: a file or a variable is written.
    Into,
    /// A read that takes locks.
    Locks(&'static str),
    /// A name that is called and not on the list of functions.
    Function(String),
    /// A read that advances a sequence.
    Sequence(String),
    /// A variable whose name says that it holds a secret.
    SecretVariable(String),
    /// A table that prints all variables.
    VariableTable(String),
    /// A condition on the values of variables.
    VariableValue,
    /// A digest or a text that stands for a statement.
    Digest,
    /// An account is made, or unlocked.
    OpensAccount,
    /// A managed user, or a role of theirs, in a statement about accounts.
    ManagedUser(String),
    /// The schema with the users and their password hashes.
    SystemSchema,
    /// A variable is set.
    Assignment,
}

impl Reason {
    /// The problem and the remedy, in a few sentences that name the word at fault.
    pub fn sentence(&self) -> String {
        let mut sentence = String::new();
        for (at, part) in self.template().split("{}").enumerate() {
            if at > 0 {
                self.word(&mut sentence);
            }
            sentence.push_str(part);
        }
        match self {
            Self::Unknown(_, Some(known)) => {
                sentence.push_str(" Did you mean ");
                sentence.push_str(known);
                sentence.push('?');
            }
            Self::Unknown(_, None) => {
                sentence.push_str(
                    " Begin it with SELECT, WITH, SHOW, EXPLAIN, INSERT, UPDATE, DELETE, CREATE, ALTER or DROP.",
                );
            }
            Self::Session(_, instead) => sentence.push_str(instead),
            _ => {}
        }
        sentence
    }

    /// Writes enough of the word at fault to identify it (TiDB's names have 64 characters at most), or the figure.
    fn word(&self, sentence: &mut String) {
        const CHARACTERS_MAX: usize = 64;
        match self {
            Self::TooLong => sentence.push_str(&(STATEMENT_BYTES_MAX >> 10).to_string()),
            Self::Unterminated(character) | Self::Characters(character) if character.is_ascii_graphic() => {
                sentence.push(*character);
            }
            Self::Characters(character) => sentence.push_str(&format!("U+{:04X}", u32::from(*character))),
            Self::Locks(word) | Self::Hint(word) | Self::Limit(word) => sentence.push_str(word),
            Self::NumberRunsOn(word)
            | Self::Unknown(word, _)
            | Self::Missing(word)
            | Self::Routine(word)
            | Self::Session(word, _)
            | Self::Lasting(word)
            | Self::Transaction(word)
            | Self::Files(word)
            | Self::Operator(word)
            | Self::Password(word)
            | Self::Nested(word)
            | Self::Structure(word)
            | Self::Format(word)
            | Self::Show(word)
            | Self::HintUnclear(word)
            | Self::Function(word)
            | Self::Sequence(word)
            | Self::SecretVariable(word)
            | Self::VariableTable(word)
            | Self::ManagedUser(word) => {
                let shown = word.chars().filter(|character| *character != '`' && !character.is_control());
                sentence.extend(shown.take(CHARACTERS_MAX));
            }
            _ => {}
        }
    }

    /// The sentence, with `{}` in place of the word.
    fn template(&self) -> &'static str {
        match self {
            Self::Empty => "There is no statement, only comments. Write the statement.",
            Self::TooLong => "The statement is longer than {} KiB. Split the work.",
            Self::TooDeep => "The statement nests more than 100 parentheses. Name inner queries with WITH.",
            Self::Unbalanced => "The parentheses do not match. Close each that opens.",
            Self::Unterminated(_) => "The quote {} is not closed. Double a quote inside a string.",
            Self::Characters('?') => "A `{}` outside quotes is a placeholder. Give one value for each in `params`.",
            Self::Characters(_) => {
                "The character {} is not allowed outside quotes. Leave it out, or quote the name or text."
            }
            Self::Comment => "A comment is not closed, or SQL parsers disagree where it ends. Leave comments out.",
            Self::ExecutableComment => {
                "A comment that the server executes (/*! or /*T!) is allowed only in changes by db_execute that are the same statement without it. Write its content as SQL, or leave it out."
            }
            Self::HintPlace => {
                "A hint must come right after SELECT, INSERT, REPLACE, UPDATE or DELETE. Move /*+ */ there."
            }
            Self::Hint(_) => "The hint {} changes settings and is not allowed. Leave it out.",
            Self::HintUnclear(name) if name.is_empty() => {
                "A hint cannot be read for sure, and TiDB drops all hints of a comment that has an error. Write /*+ NAME(table, ...) */ as documented, or leave it out."
            }
            Self::HintUnclear(_) => {
                "The hint {} cannot be read for sure, and TiDB drops all hints of a comment that has an error. Write it as documented, like /*+ HASH_JOIN(a, b) */, or leave it out."
            }
            Self::Limit(_) => {
                "The server sets the limit {} itself, and of two TiDB heeds the last. Leave the hint out."
            }
            Self::OrderInParentheses => {
                "A query in parentheses has its own ORDER BY, and a clause follows. Write ORDER BY and LIMIT of the result after the parentheses, or leave these out."
            }
            Self::NumberRunsOn(_) => {
                "The number `{}` runs on as a word. Put a name that begins with a digit in backticks, and write hexadecimal as 0x1f."
            }
            Self::SeveralStatements => {
                "One statement only: there is a `;` before the end. Send each in its own db_query call, or all as an array to db_execute."
            }
            Self::Backslash => {
                "A backslash in a string means different things in different SQL modes. Double quotes by '' instead."
            }
            Self::Unknown(..) => "No statement of TiDB begins with `{}`.",
            Self::Missing(_) => {
                "TiDB does not have `{}`. Use what TiDB supports, or put it in backticks if it is a name."
            }
            Self::Routine(_) => {
                "TiDB does not have `{}`: no procedures, functions, triggers or events. Run the statements themselves with db_execute."
            }
            Self::Session(..) => "The effect of `{}` would be lost: each call has its own session. ",
            Self::Lasting(_) => {
                "`{}` is a lasting change to the server or its users, not to data or schema, and no tool runs it. Ask the person to run it in the SQL editor of the TiDB Cloud console."
            }
            Self::Transaction(_) => {
                "`{}` is not run: db_execute controls transactions itself. Give it all statements of a transaction as one array."
            }
            Self::Files(_) => "`{}` reads files or buckets, and no tool does. Write the rows with INSERT.",
            Self::Operator(_) => {
                "`{}` is neither a query nor a change of data or schema, and no tool runs it. Ask the person to run it in the SQL editor of the TiDB Cloud console."
            }
            Self::Password(_) => {
                "`{}` carries a password, which would pass through the model. Use db_create_user; the person sets the password in the TiDB Cloud console."
            }
            Self::Nested(_) => {
                "Only a query can be in parentheses, and `{}` is not one. Write it as a separate statement."
            }
            Self::Structure(_) => {
                "This statement cannot be parsed at `{}`. Write WITH name AS (SELECT ...) SELECT ..., EXPLAIN [ANALYZE] SELECT ... or TRACE SELECT ...."
            }
            Self::Format(_) => {
                "This statement has no format `{}`. Write EXPLAIN FORMAT = 'brief', or TRACE FORMAT = 'row'."
            }
            Self::Show(_) => "`SHOW {}` is not allowed. Query information_schema with SELECT instead.",
            Self::ShowQuery => {
                "A query inside SHOW would run without a limit of time. Write SHOW with plain values, or SELECT from information_schema."
            }
            Self::Into => {
                "INTO writes a file or a variable and is not allowed. Put a column of that name in backticks."
            }
            Self::Locks(_) => "A read that takes locks is not allowed. Leave out {}.",
            Self::VariableValue => {
                "SHOW VARIABLES is filtered by name only, not by `Value`. Filter by `Variable_name`."
            }
            Self::Digest => {
                "A digest or a text stands for a statement that the server cannot check. Write the statement itself."
            }
            Self::OpensAccount => {
                "Accounts are not created or unlocked by SQL: the password would be empty, or pass through the model. Use db_create_user."
            }
            Self::SystemSchema => {
                "The schema `mysql` holds password hashes and is not open to tools. Query information_schema instead."
            }
            Self::Assignment => {
                "`:=` sets a variable that ends with the call, and is not allowed in a read. Write the value itself."
            }
            Self::Function(_) => {
                "`{}` is not a function that tools run: it is unknown, blocks the server, or does more than compute. Leave the call out."
            }
            Self::Sequence(_) => "`{}` advances a sequence, which is not a read. Use db_execute, and not in a view.",
            Self::SecretVariable(_) => "The variable `{}` may hold a secret and is not open to tools. Leave it out.",
            Self::VariableTable(_) => {
                "`{}` prints secret variables. Use SHOW VARIABLES LIKE '...', or put the schema before the name of your own table."
            }
            Self::ManagedUser(_) => {
                "Account statements do not touch managed users and their roles: `{}` is one. Name another account."
            }
        }
    }
}
