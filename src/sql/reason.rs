//! Why a statement is not run, in words for the model.

/// Why a statement is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing but comments.
    Empty,
    /// Longer than 64 KiB.
    TooLong,
    /// More than 100 parentheses inside each other.
    TooDeep,
    /// Parentheses do not match.
    Unbalanced,
    /// A quote that is not closed.
    Unterminated,
    /// A character that readers of SQL disagree about.
    Characters,
    /// A comment that readers of SQL disagree about.
    Comment,
    /// A comment that a server executes.
    ExecutableComment,
    /// A hint in the wrong place, or one that changes settings.
    Hint,
    /// A number that runs on as a word.
    NumberRunsOn,
    /// More than one statement.
    SeveralStatements,
    /// A backslash in a string that one mode of the server reads as an escape and another does not.
    Backslash,
    /// A statement that no tool runs.
    Statement,
    /// `WITH` or `EXPLAIN` that cannot be followed.
    Structure,
    /// `SHOW` of something that is not on the list.
    Show,
    /// `INTO`: a file or a variable is written.
    Into,
    /// A read that takes locks.
    Locks,
    /// A function that holds a connection, takes a lock or reads a file.
    Function,
    /// The schema with the users and their password hashes.
    SystemSchema,
    /// A variable is set.
    Assignment,
}

impl Reason {
    /// What is wrong and what to do, in one or two sentences.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Empty => "There is no statement, only comments.",
            Self::TooLong => "The statement is longer than 64 KiB. Split the work.",
            Self::TooDeep => "The statement nests more than 100 parentheses.",
            Self::Unbalanced => "The parentheses do not match.",
            Self::Unterminated => "A quote is not closed.",
            Self::Characters => {
                "A character outside of quotes is not allowed: control characters, unusual blanks and \\ { } [ ] ? are refused."
            }
            Self::Comment => "A comment is not closed, or ends where readers of SQL disagree. Leave comments out.",
            Self::ExecutableComment => "A comment that a server executes is not allowed. Write its content as SQL.",
            Self::Hint => "Hints are allowed right after the verb only, and none that change settings.",
            Self::NumberRunsOn => "A number runs on as a word. Put names that begin with a digit in backticks.",
            Self::SeveralStatements => "One statement only.",
            Self::Backslash => {
                "A backslash in a string means different things in different SQL modes. Double quotes by '' instead."
            }
            Self::Statement => "This kind of statement is not run by any tool.",
            Self::Structure => {
                "This statement cannot be followed. Write WITH name AS (SELECT ...) SELECT ..., or EXPLAIN SELECT ...."
            }
            Self::Show => "This SHOW statement is not allowed.",
            Self::Into => {
                "INTO writes a file or a variable and is not allowed. Put a column of that name in backticks."
            }
            Self::Locks => {
                "A read that takes locks is not allowed: leave out FOR UPDATE, FOR SHARE and LOCK IN SHARE MODE."
            }
            Self::Function => "A function that waits, takes a lock or reads a file is not allowed.",
            Self::SystemSchema => "The schema `mysql` holds password hashes and is not open to tools.",
            Self::Assignment => "Setting a variable is not allowed.",
        }
    }
}
