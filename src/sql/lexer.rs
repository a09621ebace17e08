//! Tokens of TiDB's dialect, strict: text that two parsers could read differently is refused.

use std::ops::Range;

use super::{Reason, STATEMENT_BYTES_MAX};

/// 100: no person nests deeper, and deeper nesting is recursion in other parsers.
const NESTING_MAX: usize = 100;

/// A token. Comments and blanks leave none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word, in lower case: keyword or name.
    Word(String),
    /// A name in backticks, in lower case.
    Name(String),
    /// A string in double quotes: with `ANSI_QUOTES` it is a name. In lower case.
    Double(String),
    /// A string in single quotes, in lower case.
    Single(String),
    /// A number, as it is written.
    Number(String),
    /// An optimizer hint, in lower case without its delimiters.
    Hint(String),
    /// `:=`
    Assign,
    /// `?`, where values are bound.
    Placeholder,
    /// Any other single character.
    Symbol(char),
}

impl Token {
    /// Whether it is this bare word.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }

    /// Its name, if it can be one, quoted or not.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Name(name) | Self::Double(name) => Some(name),
            _ => None,
        }
    }

    /// Its text, if it is a name or a string: either can name a variable or an account.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Single(text) => Some(text),
            _ => self.name(),
        }
    }
}

/// Why there are no tokens.
pub(super) struct Fault {
    pub(super) reason: Reason,
    /// A server that reads the text in this way refuses it too.
    pub(super) hopeless: bool,
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self { reason, hopeless: false }
    }
}

/// How to read a text that servers, or modes of one server, read in several ways.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// Whether a backslash escapes in strings (it does not with `NO_BACKSLASH_ESCAPES`).
    pub(super) backslash: bool,
    /// Which executable comments are executed, a bit for each of [`Text::kinds`]; `None` if none is allowed.
    pub(super) executed: Option<u8>,
}

impl Reading {
    /// Of every kind.
    pub(super) const ALL: u8 = u8::MAX;
}

/// A statement, read in one way.
pub(super) struct Text<'a> {
    pub(super) tokens: Vec<Token>,
    /// The conditions under which a server executes the comments found: first `""` for those that TiDB always executes, then
    /// the features that one version knows and another does not. Empty without executable comments.
    pub(super) kinds: Vec<&'a str>,
}

/// Splits one statement without executable comments into tokens.
pub(super) fn tokens(sql: &str, backslash: bool) -> Result<Vec<Token>, Fault> {
    read(sql, Reading { backslash, executed: None }).map(|text| text.tokens)
}

/// Splits one statement into tokens; a `;` at the very end is dropped.
pub(super) fn read(sql: &str, reading: Reading) -> Result<Text<'_>, Fault> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(Reason::TooLong.into());
    }
    if sql.contains('\0') {
        return Err(Reason::Characters('\0').into());
    }
    let mut lexer = Lexer::new(sql, reading);
    while lexer.step()? {}
    if let Some(reason) = lexer.refused {
        return Err(reason.into());
    }
    Ok(Text { tokens: statement(lexer.tokens)?, kinds: lexer.kinds })
}

/// The tokens of a statement, and their places in it; `None` if a mode or a version of the server could read it in another way.
pub(super) fn placed(sql: &str) -> Option<(Vec<Token>, Vec<Range<usize>>)> {
    if sql.contains('\\') { None } else { with_places(sql, true) }
}

/// The tokens of a statement, and their places in it, as a server reads them to which a backslash escapes, or does not. `None` if it is
/// not one statement. Two lists, because a statement may have 62,000 tokens, and each copy of them takes megabytes.
pub(super) fn with_places(sql: &str, backslash: bool) -> Option<(Vec<Token>, Vec<Range<usize>>)> {
    if sql.len() > STATEMENT_BYTES_MAX || sql.contains('\0') {
        return None;
    }
    let mut lexer = Lexer::new(sql, Reading { backslash, executed: None });
    let mut places = Vec::new();
    loop {
        let (count, start) = (lexer.tokens.len(), sql.len() - lexer.rest.len());
        if !lexer.step().ok()? {
            break;
        }
        // `{d '...'}` takes tokens back.
        let added = lexer.tokens.len().checked_sub(count)?;
        places.extend(std::iter::repeat_n(start..sql.len() - lexer.rest.len(), added));
    }
    if lexer.refused.is_some() {
        return None;
    }
    Some((statement(lexer.tokens).ok()?, places))
}

/// The tokens of a statement with placeholders, and where in the text each placeholder is. What else is no single statement is left
/// to whoever judges the text once values stand in it.
pub(super) fn with_placeholders(sql: &str, backslash: bool) -> Result<(Vec<Token>, Vec<usize>), Fault> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(Reason::TooLong.into());
    }
    let reading = Reading { backslash, executed: Some(Reading::ALL) };
    let mut lexer = Lexer { placeholders: true, ..Lexer::new(sql, reading) };
    let mut places = Vec::new();
    loop {
        if lexer.rest.starts_with('?') {
            places.push(sql.len() - lexer.rest.len());
        }
        if !lexer.step()? {
            return Ok((lexer.tokens, places));
        }
    }
}

/// The word that a text begins with, after comments and opening parentheses, in lower case.
pub(super) fn first_word(sql: &str) -> Option<String> {
    let mut lexer = Lexer::new(sql, Reading { backslash: true, executed: None });
    while lexer.step().ok()? {
        match lexer.tokens.pop() {
            None | Some(Token::Symbol('(')) => {}
            Some(Token::Word(word)) => return Some(word),
            Some(_) => return None,
        }
    }
    None
}

/// Checks that the tokens are one statement whose parentheses match.
fn statement(mut tokens: Vec<Token>) -> Result<Vec<Token>, Reason> {
    if tokens.last() == Some(&Token::Symbol(';')) {
        tokens.pop();
    }
    if tokens.contains(&Token::Symbol(';')) {
        return Err(Reason::SeveralStatements);
    }
    if tokens.is_empty() {
        return Err(Reason::Empty);
    }
    let mut depth = 0_usize;
    for token in &tokens {
        match token {
            Token::Symbol('{') => return Err(Reason::Characters('{')),
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.checked_sub(1).ok_or(Reason::Unbalanced)?,
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(Reason::TooDeep);
        }
    }
    if depth == 0 { Ok(tokens) } else { Err(Reason::Unbalanced) }
}

struct Lexer<'a> {
    rest: &'a str,
    reading: Reading,
    tokens: Vec<Token>,
    kinds: Vec<&'a str>,
    /// A refusal of text that a server may accept; reading goes on, to see whether a server could.
    refused: Option<Reason>,
    /// Whether `?` stands for a value.
    placeholders: bool,
}

impl<'a> Lexer<'a> {
    fn new(sql: &'a str, reading: Reading) -> Self {
        Self { rest: sql, reading, tokens: Vec::new(), kinds: Vec::new(), refused: None, placeholders: false }
    }

    /// Reads one token, comment or blank; `false` at the end.
    fn step(&mut self) -> Result<bool, Fault> {
        let Some(first) = self.rest.chars().next() else { return Ok(false) };
        match first {
            ' ' | '\t' | '\n' | '\r' => self.skip(1),
            '#' => self.line_comment()?,
            '-' if self.rest.starts_with("--")
                && self.rest.chars().nth(2).is_none_or(|next| " \t\n\r".contains(next)) =>
            {
                self.line_comment()?;
            }
            '/' if self.rest.starts_with("/*") => self.block_comment()?,
            '*' if self.rest.starts_with("*/") => return Err(Reason::Comment.into()),
            '\'' | '"' | '`' => self.quoted(first)?,
            '0'..='9' => self.number(),
            '.' if self.rest.chars().nth(1).is_some_and(|next| next.is_ascii_digit()) && !self.after_a_name() => {
                self.number();
            }
            ':' if self.rest.starts_with(":=") => {
                self.skip(2);
                self.tokens.push(Token::Assign);
            }
            // `\N` is NULL to a server; any other backslash outside of quotes is a syntax error to it.
            '\\' if !self.rest.get(1..).is_some_and(|rest| rest.starts_with(['N', 'n'])) => {
                return Err(Fault { reason: Reason::Characters(first), hopeless: true });
            }
            '}' => self.literal()?,
            '?' if self.placeholders => {
                self.skip(1);
                self.tokens.push(Token::Placeholder);
            }
            '\\' | '[' | ']' | '?' => {
                self.skip(1);
                self.refused.get_or_insert(Reason::Characters(first));
            }
            '@' => self.at_signs(),
            _ if is_word(first) => {
                let length = self.rest.find(|character| !is_word(character)).unwrap_or(self.rest.len());
                let word = fold(self.take(length));
                self.tokens.push(Token::Word(word));
            }
            _ if first.is_ascii() && !first.is_ascii_control() => {
                self.skip(1);
                self.tokens.push(Token::Symbol(first));
            }
            // Other blanks, controls, full-width forms: TiDB and other parsers disagree about them.
            _ => return Err(Reason::Characters(first).into()),
        }
        Ok(true)
    }

    /// `{d '...'}`, `{t '...'}` and `{ts '...'}` end here: they are literals. TiDB takes any other word there as well, and
    /// any expression. <https://dev.mysql.com/doc/refman/8.0/en/expressions.html>
    fn literal(&mut self) -> Result<(), Reason> {
        self.skip(1);
        let [.., Token::Symbol('{'), Token::Word(kind), Token::Single(_)] = self.tokens.as_slice() else {
            return Err(Reason::Characters('}'));
        };
        if !["d", "t", "ts"].contains(&kind.as_str()) {
            return Err(Reason::Characters('{'));
        }
        let text = self.tokens.pop();
        self.tokens.truncate(self.tokens.len().saturating_sub(2));
        self.tokens.extend(text);
        Ok(())
    }

    /// `@` or `@@`, and right after it the name of a variable or of a host. TiDB reads over `@@` that nothing follows: to it,
    /// `sleep@@(9)` is a call.
    fn at_signs(&mut self) {
        let count = if self.rest.starts_with("@@") { 2 } else { 1 };
        self.skip(count);
        if !self.rest.starts_with(|next| is_word(next) || "`'\"".contains(next)) {
            self.refused.get_or_insert(Reason::Characters('@'));
        }
        self.tokens.extend(std::iter::repeat_n(Token::Symbol('@'), count));
    }

    fn after_a_name(&self) -> bool {
        self.tokens.last().is_some_and(|token| token.name().is_some())
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn skip(&mut self, bytes: usize) {
        self.take(bytes);
    }

    /// Up to LF and nothing else: TiDB ends a line comment there only, others also at CR. A CR right before the end
    /// makes no difference.
    fn line_comment(&mut self) -> Result<(), Reason> {
        let length = self.rest.find('\n').unwrap_or(self.rest.len());
        let comment = self.take(length);
        let inner = comment.strip_suffix('\r').unwrap_or(comment);
        if inner.contains('\r') || opens_executable(comment) { Err(Reason::Comment) } else { Ok(()) }
    }

    fn block_comment(&mut self) -> Result<(), Reason> {
        let hint = self.rest.starts_with("/*+");
        self.skip(2);
        let length = self.rest.find("*/").ok_or(Reason::Comment)?;
        let comment = self.take(length);
        self.skip(2);
        if let Some(executed) = self.reading.executed
            && let Some((kind, content)) = executable(comment)
        {
            return self.executable_comment(executed, kind, content);
        }
        let folded = fold(comment);
        if is_executable(&folded) || opens_executable(&folded) {
            return Err(Reason::ExecutableComment);
        }
        if hint {
            // Elsewhere a hint is a comment to one reader and a hint to another.
            let after_a_verb = self.tokens.last().is_some_and(|token| {
                ["select", "insert", "replace", "update", "delete"].iter().any(|verb| token.is(verb))
            });
            if !after_a_verb || comment.contains("/*") {
                return Err(Reason::HintPlace);
            }
            // Not folded: a letter that only folds to an ASCII one may be an error to TiDB's hint parser.
            self.tokens.push(Token::Hint(comment.get(1..).unwrap_or_default().to_ascii_lowercase()));
        }
        Ok(())
    }

    /// Content that some servers execute and others skip. It must be whole tokens without comments, so that all of them agree
    /// on its end.
    fn executable_comment(&mut self, executed: u8, kind: &'a str, content: &'a str) -> Result<(), Reason> {
        // Always executed, and two features that a version may know or not: five ways to read the text.
        const KINDS_MAX: usize = 3;
        if self.kinds.is_empty() {
            self.kinds.push("");
        }
        let place = self.kinds.iter().position(|known| *known == kind).unwrap_or(self.kinds.len());
        if place >= KINDS_MAX {
            return Err(Reason::ExecutableComment);
        }
        if place == self.kinds.len() {
            self.kinds.push(kind);
        }
        let mut inner = Lexer { tokens: std::mem::take(&mut self.tokens), ..Lexer::new(content, self.reading) };
        let before = inner.tokens.len();
        while !inner.rest.is_empty() {
            let comment = ["/*", "#", "--", "{", "}"].iter().any(|opener| inner.rest.starts_with(opener));
            if comment || inner.step().is_err() || inner.refused.is_some() {
                return Err(Reason::ExecutableComment);
            }
        }
        if (executed >> place) & 1 == 0 {
            inner.tokens.truncate(before);
        }
        self.tokens = inner.tokens;
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<(), Fault> {
        self.skip(1);
        let mut text = String::new();
        let mut characters = self.rest.char_indices().peekable();
        let mut end = None;
        while let Some((index, character)) = characters.next() {
            if character == '\\' && self.reading.backslash && quote != '`' {
                if let Some((_, escaped)) = characters.next() {
                    text.push(escaped);
                }
            } else if character == quote {
                if characters.peek().is_some_and(|(_, next)| *next == quote) {
                    characters.next();
                    text.push(quote);
                } else {
                    end = Some(index + quote.len_utf8());
                    break;
                }
            } else {
                text.push(character);
            }
        }
        self.skip(end.ok_or(Fault { reason: Reason::Unterminated(quote), hopeless: true })?);
        let text = fold(&text);
        self.tokens.push(match quote {
            '`' => Token::Name(text),
            '"' => Token::Double(text),
            _ => Token::Single(text),
        });
        Ok(())
    }

    /// Digits with an optional fraction and exponent, or `0x` and `0b` forms. A number that runs on as a word is refused: `1e`
    /// and `2fa` are names to one parser, and a number with an alias to another.
    fn number(&mut self) {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        // In upper case, or without digits, TiDB has none of them.
        let digits_of = |prefix: &str, is_digit: fn(&u8) -> bool| {
            let body = self.rest.strip_prefix(prefix)?;
            Some(body.bytes().take_while(is_digit).count()).filter(|count| *count > 0)
        };
        let hexadecimal =
            digits_of("0x", u8::is_ascii_hexdigit).or_else(|| digits_of("0b", |digit| b"01".contains(digit)));
        let length = if let Some(count) = hexadecimal {
            2 + count
        } else {
            let mut length = digits(self.rest);
            let mut after = self.rest.get(length..).unwrap_or_default();
            if let Some(fraction) = after.strip_prefix('.') {
                length += 1 + digits(fraction);
                after = self.rest.get(length..).unwrap_or_default();
            }
            if let Some(exponent) = after.strip_prefix(['e', 'E']) {
                let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if digits(unsigned) > 0 {
                    length += 1 + (exponent.len() - unsigned.len()) + digits(unsigned);
                }
            }
            length
        };
        let number = self.take(length).to_owned();
        if self.rest.chars().next().is_some_and(is_word) {
            let word = self.rest.find(|character| !is_word(character)).unwrap_or(self.rest.len());
            let word = self.rest.get(..word).unwrap_or_default();
            self.refused.get_or_insert(Reason::NumberRunsOn(format!("{number}{word}")));
        }
        // After `name.` it is a name as well.
        let named = matches!(self.tokens.as_slice(), [.., before, Token::Symbol('.')] if before.name().is_some());
        self.tokens.push(if named { Token::Word(number) } else { Token::Number(number) });
    }
}

/// Folds case so that no spelling of a name escapes a comparison. Go, and so TiDB, lower-cases U+0130 to `i` and U+212A to
/// `k`, and upper-cases U+017F to `S`; all of them become the ASCII letter here.
pub(super) fn fold(text: &str) -> String {
    let folded = text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    // The dot that lower case leaves behind `i` where the capital was U+0130.
    folded.filter(|character| *character != '\u{307}').collect()
}

/// Characters of a bare word: letters and digits of any script except the full-width forms, `_` and `$`.
fn is_word(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_alphanumeric() || matches!(character, '_' | '$')
    } else {
        character.is_alphanumeric() && !('\u{ff00}'..='\u{ffef}').contains(&character)
    }
}

/// Features of TiDB that all its versions know which run today (`FeatureID...` in `pkg/parser/tidb/features.go` of release
/// 8.5): a comment for these is executed, and one for others where the version knows them.
const FEATURES: &[&str] = &[
    "auto_id_cache",
    "auto_rand",
    "auto_rand_base",
    "clustered_index",
    "force_inc",
    "global_index",
    "placement",
    "ttl",
];

/// What decides whether a server executes this comment, and the content: `!content`, `!50000 content`, `T! content` and
/// `T![feature, ...] content` (`startWithSlash` in TiDB's lexer). `None` for any other comment, and for what servers disagree about.
fn executable(comment: &str) -> Option<(&str, &str)> {
    let (kind, content) = if let Some(content) = comment.strip_prefix('!') {
        let digits = content.bytes().take_while(u8::is_ascii_digit).count();
        let (_, content) = content.split_at_checked(digits).filter(|_| digits == 0 || digits == 5)?;
        // A server that wants six digits, or takes four, stops elsewhere.
        (digits == 0 || content.is_empty() || content.starts_with([' ', '\t', '\n', '\r'])).then_some(("", content))?
    } else {
        let content = comment.strip_prefix("T!")?;
        match content.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            None => ("", content),
            Some((features, content)) => {
                let named = |feature: &str| {
                    !feature.is_empty() && feature.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                };
                let known = features.split(',').all(|feature| FEATURES.contains(&feature));
                let kind = if known { "" } else { features };
                features.split(',').all(named).then_some((kind, content))?
            }
        }
    };
    // TiDB reads `/` right before the end as the beginning of a comment.
    (!content.ends_with('/')).then_some((kind, content))
}

/// Whether a comment's content is executed: `!` at once (MySQL), or after one letter (`T!` in TiDB, `M!` in MariaDB).
fn is_executable(content: &str) -> bool {
    let after_letter = content.strip_prefix(|first: char| first.is_ascii_alphabetic()).unwrap_or(content);
    content.starts_with('!') || after_letter.starts_with('!')
}

/// Whether an executable comment opens inside this text.
fn opens_executable(text: &str) -> bool {
    text.match_indices("/*").any(|(index, opener)| is_executable(text.get(index + opener.len()..).unwrap_or_default()))
}
