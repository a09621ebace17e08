//! Just enough of SQL's lexical grammar to tell one statement from several, and what kind it is.
//!
//! Comments, quotes and executable comments are those of the MySQL manual, sections "Comments" and "String Literals".

/// A piece of a statement that is not white space or a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A bare word or number, upper case.
    Word(String),
    /// A quoted identifier or string, without its quotes, as written.
    Quoted(String),
    /// An optimizer hint: the text between `/*+` and `*/`.
    Hint(String),
    /// Any other character.
    Symbol(char),
}

/// What the text of one request holds.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// The text as sent, without white space around it.
    pub(crate) text: String,
    /// The text without comments and limits, and with single spaces: what recordings are looked up by. A server's answer does not
    /// depend on a limit that it kept.
    pub(crate) canonical: String,
    /// Everything but white space and comments, without semicolons at the end.
    pub(crate) tokens: Vec<Token>,
}

struct Lexer<'a> {
    rest: &'a str,
    canonical: String,
    tokens: Vec<Token>,
    executable: bool,
}

impl<'a> Lexer<'a> {
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn space(&mut self) {
        if !self.canonical.is_empty() && !self.canonical.ends_with(' ') {
            self.canonical.push(' ');
        }
    }

    fn keep(&mut self, bytes: usize) -> &'a str {
        let taken = self.take(bytes);
        self.canonical.push_str(taken);
        taken
    }

    /// Bytes up to and including the closing quote: backslash escapes hold in strings, a doubled quote stands for itself.
    fn quoted_length(&self, quote: char) -> usize {
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            if character == '\\' && quote != '`' {
                characters.next();
            } else if character == quote {
                if characters.peek().is_some_and(|(_, next)| *next == quote) {
                    characters.next();
                } else {
                    return at + 1;
                }
            }
        }
        self.rest.len()
    }

    fn comment_length(&self) -> Option<usize> {
        let line = |text: &str| text.find('\n').map_or(text.len(), |at| at + 1);
        if self.rest.starts_with('#') {
            return Some(line(self.rest));
        }
        if let Some(after) = self.rest.strip_prefix("--")
            && after.chars().next().is_none_or(|next| next.is_whitespace() || next.is_control())
        {
            return Some(line(self.rest));
        }
        let body = self.rest.strip_prefix("/*")?;
        Some(body.find("*/").map_or(self.rest.len(), |at| at + 4))
    }

    fn step(&mut self) {
        let Some(first) = self.rest.chars().next() else { return };
        if first.is_whitespace() {
            self.take(first.len_utf8());
            self.space();
        } else if self.rest.starts_with("/*!") || self.rest.starts_with("/*M!") || self.rest.starts_with("/*T!") {
            // What stands inside is code for one server or another: it is read as code.
            let opener = if self.rest.starts_with("/*!") { 3 } else { 4 };
            self.keep(opener);
            self.executable = true;
        } else if self.executable && self.rest.starts_with("*/") {
            self.keep(2);
            self.executable = false;
        } else if self.rest.starts_with("/*+") {
            let length = self.comment_length().unwrap_or(self.rest.len());
            let hint = self.take(length).trim_start_matches("/*+").trim_end_matches("*/");
            self.tokens.push(Token::Hint(hint.to_owned()));
            match without_limits(hint) {
                rest if rest.is_empty() => self.space(),
                rest => self.canonical.push_str(&format!("/*+ {rest} */")),
            }
        } else if let Some(length) = self.comment_length() {
            self.take(length);
            self.space();
        } else if matches!(first, '\'' | '"' | '`') {
            let text = self.keep(self.quoted_length(first));
            let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
            self.tokens.push(Token::Quoted(inner.to_owned()));
        } else if first.is_alphanumeric() || matches!(first, '_' | '@' | '$') {
            let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '$');
            let length = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
            let word = self.keep(length).to_uppercase();
            self.tokens.push(Token::Word(word));
        } else {
            self.keep(first.len_utf8());
            self.tokens.push(Token::Symbol(first));
        }
    }
}

const TIME_LIMIT: &str = "MAX_EXECUTION_TIME";

/// Hints without those that limit time and memory.
fn without_limits(hint: &str) -> String {
    let mut rest = hint.to_owned();
    for limit in [TIME_LIMIT, "MEMORY_QUOTA"] {
        while let Some(at) = rest.to_ascii_uppercase().find(limit)
            && let Some(length) = rest.get(at..).and_then(|limit| limit.find(')'))
        {
            rest.replace_range(at..=at + length, "");
        }
    }
    rest.trim_matches([' ', ',']).to_owned()
}

impl Statement {
    pub(crate) fn read(text: &str) -> Self {
        let mut lexer = Lexer { rest: text, canonical: String::new(), tokens: Vec::new(), executable: false };
        while !lexer.rest.is_empty() {
            lexer.step();
        }
        let Lexer { canonical, mut tokens, .. } = lexer;
        while tokens.last() == Some(&Token::Symbol(';')) {
            tokens.pop();
        }
        let canonical = canonical.trim_end_matches([' ', ';']).trim_start().to_owned();
        Self { text: text.trim().to_owned(), canonical, tokens }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether a semicolon stands before the end, quotes and comments aside.
    pub(crate) fn is_several(&self) -> bool {
        self.tokens.contains(&Token::Symbol(';'))
    }

    /// The word at this place, upper case; empty if something else stands there.
    pub(crate) fn word(&self, at: usize) -> &str {
        match self.tokens.get(at) {
            Some(Token::Word(word)) => word,
            _ => "",
        }
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().filter_map(|token| if let Token::Word(word) = token { Some(word.as_str()) } else { None })
    }

    pub(crate) fn has_word(&self, wanted: &str) -> bool {
        self.words().any(|word| word == wanted)
    }

    /// Whether these words follow each other somewhere.
    pub(crate) fn has_phrase(&self, phrase: &[&str]) -> bool {
        self.tokens.windows(phrase.len()).any(|window| {
            window.iter().zip(phrase).all(|(token, wanted)| matches!(token, Token::Word(word) if word == wanted))
        })
    }

    pub(crate) fn begins_transaction(&self) -> bool {
        self.word(0) == "BEGIN" || (self.word(0) == "START" && self.word(1) == "TRANSACTION")
    }

    /// Whether this ends a transaction for good: not `ROLLBACK TO`, not `COMMIT AND CHAIN`.
    pub(crate) fn ends_transaction(&self) -> bool {
        matches!(self.word(0), "COMMIT" | "ROLLBACK") && !self.has_word("TO") && !self.has_phrase(&["AND", "CHAIN"])
    }

    pub(crate) fn is_ddl(&self) -> bool {
        matches!(self.word(0), "CREATE" | "DROP" | "ALTER" | "TRUNCATE" | "RENAME" | "GRANT" | "REVOKE")
    }

    /// Milliseconds of the hint `MAX_EXECUTION_TIME`, where a `SELECT` carries it. Of several the last one counts, as in TiDB.
    pub(crate) fn time_limit_millis(&self) -> Option<u64> {
        let hints =
            self.tokens.iter().filter_map(|token| if let Token::Hint(hint) = token { Some(hint) } else { None });
        hints
            .filter_map(|hint| {
                let hint = hint.to_uppercase();
                let (_, after) = hint.rsplit_once(TIME_LIMIT)?;
                after.trim_start().strip_prefix('(')?.split(')').next()?.trim().parse().ok()
            })
            .next()
    }

    /// The statement that an `EXPLAIN` explains, as text; `None` for anything else, `EXPLAIN table` included.
    pub(crate) fn explained(&self) -> Option<String> {
        if !matches!(self.word(0), "EXPLAIN" | "DESC" | "DESCRIBE") {
            return None;
        }
        let mut at = 1;
        if self.word(at) == "ANALYZE" {
            at += 1;
        }
        if self.word(at) == "FORMAT" {
            at += 3;
        }
        let explainable = [
            "SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "TABLE", "ALTER", "CREATE", "DROP", "FOR",
            "VALUES",
        ];
        let begins = explainable.contains(&self.word(at)) || self.tokens.get(at) == Some(&Token::Symbol('('));
        if at == 1 && !begins {
            return None;
        }
        // The canonical text has one spelling of every gap, so the prefix is found by counting tokens from its start.
        let mut rest = Lexer { rest: &self.canonical, canonical: String::new(), tokens: Vec::new(), executable: false };
        while rest.tokens.len() < at && !rest.rest.is_empty() {
            rest.step();
        }
        Some(rest.rest.trim_start().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Statement;

    #[test]
    fn one_statement_is_told_from_several() {
        for (text, several) in [
            ("SELECT 1", false),
            ("SELECT 1;", false),
            ("SELECT 1 ; -- end\n ;", false),
            ("SELECT ';'", false),
            ("SELECT 'it''s; \\'; x'", false),
            ("SELECT `a;b` /* ; */ # ;\n", false),
            ("SELECT \"a;\" -- ;", false),
            ("SELECT 1; SELECT 2", true),
            ("SELECT 'a\\\\'; DROP TABLE t", true),
            ("SELECT 1 --; still an expression", true),
            ("SELECT 1 /*! ; DROP TABLE t */", true),
            ("SELECT `a\\`; SELECT 2", true),
        ] {
            assert_eq!(Statement::read(text).is_several(), several, "{text}");
        }
    }

    #[test]
    fn recordings_are_looked_up_without_comments_and_spacing() {
        let read = Statement::read(" /* tag */ SELECT\n  'a  b',\t1 -- end\n ; ");
        assert_eq!(read.canonical, "SELECT 'a  b', 1");
        let hinted = Statement::read("SELECT /*+ MAX_EXECUTION_TIME( 50 ), HASH_AGG() MEMORY_QUOTA(64 MB) */ 1");
        assert_eq!(hinted.canonical, "SELECT /*+ HASH_AGG() */ 1");
        assert_eq!(hinted.time_limit_millis(), Some(50));
        let twice = Statement::read("/* tag */ SELECT /*+ max_execution_time(50) MAX_EXECUTION_TIME(40) */ 1");
        assert_eq!((twice.canonical.as_str(), twice.time_limit_millis()), ("SELECT 1", Some(40)));
    }

    #[test]
    fn an_explained_statement_is_found() {
        for (text, explained) in [
            ("EXPLAIN SELECT 1", Some("SELECT 1")),
            (
                "explain analyze format = 'brief' SELECT /*+ HYPO_INDEX(a, b, c) */ 1",
                Some("SELECT /*+ HYPO_INDEX(a, b, c) */ 1"),
            ),
            ("DESC FORMAT=tidb_json (SELECT 1)", Some("(SELECT 1)")),
            ("DESCRIBE orders", None),
            ("EXPLAIN shop.orders", None),
            ("SELECT 1", None),
        ] {
            assert_eq!(Statement::read(text).explained().as_deref(), explained, "{text}");
        }
    }
}
