//! Why a statement is not run, in words for the model.

/// Why a statement is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// A name that is called and not on the list of functions.
    Function(String),
    /// What advances a sequence in a read.
    Sequence(String),
    /// A variable whose name says that it holds a secret.
    SecretVariable(String),
    /// A table that prints all variables.
    VariableTable(String),
    /// A condition on what variables hold.
    VariableValue,
    /// A digest that stands for a statement.
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
    /// What is wrong and what to do, in one or two sentences that name the word at fault.
    pub fn sentence(&self) -> String {
        match self.word() {
            Some(word) => self.template().replace("{}", &word),
            None => self.template().to_owned(),
        }
    }

    /// As much of the word at fault as tells which one it is: TiDB's names have 64 characters at most.
    fn word(&self) -> Option<String> {
        const CHARACTERS_MAX: usize = 64;
        match self {
            Self::Function(word)
            | Self::Sequence(word)
            | Self::SecretVariable(word)
            | Self::VariableTable(word)
            | Self::ManagedUser(word) => {
                Some(word.chars().filter(|character| *character != '`').take(CHARACTERS_MAX).collect())
            }
            _ => None,
        }
    }

    /// The sentence, with `{}` where the word stands.
    fn template(&self) -> &'static str {
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
            Self::VariableValue => "SHOW VARIABLES is filtered by name only, not by `Value`.",
            Self::Digest => "A digest stands for a statement that nobody here has read. Write the statement itself.",
            Self::OpensAccount => {
                "SQL makes and unlocks no accounts: the password would be empty, or pass through the model. Use db_create_user."
            }
            Self::SystemSchema => "The schema `mysql` holds password hashes and is not open to tools.",
            Self::Assignment => "Setting a variable is not allowed.",
            Self::Function(_) => "`{}` is not on the list of functions that tools run.",
            Self::Sequence(_) => "`{}` advances a sequence, which is not a read. Use db_execute, and not in a view.",
            Self::SecretVariable(_) => "The variable `{}` may hold a secret and is not open to tools.",
            Self::VariableTable(_) => {
                "`{}` prints secret variables. Use SHOW VARIABLES LIKE '...', or write the schema before a table of your own."
            }
            Self::ManagedUser(_) => "Account statements do not touch managed users and their roles: `{}` is one.",
        }
    }
}
