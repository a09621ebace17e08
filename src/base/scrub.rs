//! Takes secrets out of text. Types keep them out of the log and out of errors; this is the second wall, for text of others and for
//! what a later change lets through.

use std::{borrow::Cow, ops::Range};

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// A shorter secret is not looked for: it would be found in the middle of words.
const SECRET_BYTES_MIN: usize = 4;

/// 128 bits in hexadecimal, the shortest that a key can be.
const HEX_DIGITS_MIN: usize = 32;

/// 256 bits in hexadecimal. What is longer is no id.
const ID_BYTES_MAX: usize = 64;

/// Names of secrets that are words of prose, after which a colon may be one of prose too.
const PROSE: [&str; 4] = ["secret", "token", "signature", "cookie"];

/// No name of a SQL user, host or plugin is longer, and no comment is that people write between two words of a clause. It bounds
/// what is read again for the next clause, if a quotation mark or a comment has no end.
const SQL_NAME_BYTES_MAX: usize = 260;
const COMMENT_BYTES_MAX: usize = 64;

/// A quotation mark in JSON within JSON, six deep, has fewer before it.
const BACKSLASHES_MAX: usize = 64;

/// What is read of a name, to see that it is longer than a word.
const NAME_BYTES: usize = 64;

/// More comments are not between two words of a clause.
const COMMENTS_MAX: usize = 4;

/// A header of Digest is told from the word by a parameter whose name is within so many bytes.
const DIGEST_BYTES: usize = 512;

/// `{"alg":"none"}` in base64url, the shortest header of a JWT, has 19.
const JWT_HEADER_BYTES_MIN: usize = 19;

/// Who knows the path below one of these may post there.
const WEBHOOKS: [&str; 5] = ["hooks.slack.com", "hooks.slack-gov.com", "/webhooks", "/webhook", "/webhookb2"];

/// A line of the log without secrets: those that are given, and what looks like one. Borrowed if it has none.
///
/// A JSON object stays one, with the same names: only what is inside of a string value is replaced. Numbers stay, because they are the
/// server's own counts, and so do hexadecimal digits and UUIDs that are the whole value of a name that ends in `_id`. No value can
/// pretend to be such a member, because inside of it every quotation mark is escaped (RFC 8259 section 7). What is no JSON object is
/// read as by [`scrub_text`].
pub fn scrub<'t>(line: &'t str, secrets: &[&str]) -> Cow<'t, str> {
    let scrubber = Scrubber::new(secrets);
    until_clean(line, |line| {
        let mut draft = Draft::new(line);
        if !scrubber.object(&mut draft) {
            draft = Draft::new(line);
            scrubber.text(&mut draft);
        }
        draft.finish()
    })
}

/// Any text without secrets: those that are given, and what looks like one. Borrowed if it has none.
pub fn scrub_text<'t>(text: &'t str, secrets: &[&str]) -> Cow<'t, str> {
    let scrubber = Scrubber::new(secrets);
    until_clean(text, |text| {
        let mut draft = Draft::new(text);
        scrubber.text(&mut draft);
        draft.finish()
    })
}

/// With something replaced, the rest can look like a secret where it did not before: passes are made until one finds nothing, which
/// is the first for nearly every text. There is a last one, because each before it leaves fewer bytes beside [`REDACTED`], or fewer
/// of these.
fn until_clean<'t>(text: &'t str, pass: impl Fn(&str) -> Option<String>) -> Cow<'t, str> {
    let mut clean = Cow::Borrowed(text);
    while let Some(cleaner) = pass(&clean) {
        clean = Cow::Owned(cleaner);
    }
    clean
}

/// Something is recognized at this byte, by what is around it.
const SIGN: u8 = 1;
/// A given secret may begin with this byte, which another may follow as its second.
const FIRST: u8 = 2;
const SECOND: u8 = 4;
/// These begin a byte that is written in another way.
const ENCODING: [u8; 3] = *b"%+\\";
/// Beside the strings of a JSON object there is this byte.
const BESIDE_STRINGS: u8 = 8;

/// What each byte may mean. Signs are rare bytes: a common one costs a look at its mark, and nothing else.
const MARKS: [u8; 256] = {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte < marks.len() {
        let sign = match byte as u8 {
            b'=' | b':' | b'_' | b'-' | b'I' | b'/' | b'[' | b'.' => SIGN,
            // Of Basic and Bearer, Digest, and IDENTIFIED and FOR.
            b'B' | b'b' | b'G' | b'g' | b'F' | b'f' => SIGN,
            _ => 0,
        };
        let beside = match byte as u8 {
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'+'..=b'.' | b'0'..=b'9' => BESIDE_STRINGS,
            // Of `true`, `false`, `null` and exponents.
            b't' | b'r' | b'u' | b'e' | b'f' | b'a' | b'l' | b's' | b'n' | b'E' => BESIDE_STRINGS,
            _ => 0,
        };
        #[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
        {
            marks[byte] = sign | beside;
        }
        byte += 1;
    }
    marks
};

struct Scrubber<'s> {
    secrets: &'s [&'s str],
    marks: [u8; 256],
}

impl<'s> Scrubber<'s> {
    fn new(secrets: &'s [&'s str]) -> Self {
        let mut marks = MARKS;
        let mut add = |byte: Option<u8>, mark: u8| {
            if let Some(marks) = byte.and_then(|byte| marks.get_mut(usize::from(byte))) {
                *marks |= mark;
            }
        };
        for secret in secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN) {
            add(secret.as_bytes().first().copied(), FIRST);
            add(secret.as_bytes().get(1).copied(), SECOND);
            for byte in ENCODING {
                add(Some(byte), FIRST | SECOND);
            }
        }
        Self { secrets, marks }
    }

    fn mark(&self, byte: u8) -> u8 {
        self.marks.get(usize::from(byte)).copied().unwrap_or_default()
    }

    fn text(&self, draft: &mut Draft<'_>) {
        self.scan(draft, 0..draft.text.len(), false);
    }

    /// Scans the string values of a JSON object. `false`: it is none.
    fn object(&self, draft: &mut Draft<'_>) -> bool {
        let bytes = draft.text.as_bytes();
        if !bytes.starts_with(b"{") || !bytes.ends_with(b"}") {
            return false;
        }
        let mut name: &[u8] = &[];
        // Where the value of that name begins.
        let mut value = 0;
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if byte != b'"' {
                if self.mark(byte) & BESIDE_STRINGS == 0 {
                    return false;
                }
                at += 1;
                continue;
            }
            let Some(end) = end_of_string(bytes, at + 1) else { return false };
            let inside = at + 1..end;
            let string = bytes.get(inside.clone()).unwrap_or_default();
            let after = skip(bytes, end + 1, b" ");
            if bytes.get(after) == Some(&b':') {
                name = string;
                value = skip(bytes, after + 1, b" ");
            } else if names_secret(name) {
                if !string.is_empty() && string != REDACTED.as_bytes() {
                    draft.redact(inside);
                }
            } else {
                let is_id = at == value && ends_with(name, "_id") && looks_like_id(string);
                self.scan(draft, inside, is_id);
            }
            at = end + 1;
        }
        true
    }

    /// Replaces what is found in a part of the text. In an id, only given secrets are.
    fn scan(&self, draft: &mut Draft<'_>, part: Range<usize>, is_id: bool) {
        let from = part.start;
        let text = draft.text.as_bytes().get(..part.end).unwrap_or_default();
        let mut at = from;
        let watched = if is_id { FIRST } else { FIRST | SIGN };
        let mut digits = if is_id { None } else { hex_digits(text, from) };
        // The end of what was replaced before.
        let mut replaced = from;
        loop {
            while let Some(byte) = text.get(at)
                && self.mark(*byte) & watched == 0
            {
                at += 1;
            }
            let found = match &digits {
                Some(digits) if digits.start <= at => Some(digits.clone()),
                _ => {
                    let Some(byte) = text.get(at) else { return };
                    if *byte == b'[' && text.get(at..).is_some_and(|rest| rest.starts_with(REDACTED.as_bytes())) {
                        replaced = at + REDACTED.len();
                    }
                    match self.secret_at(text, at).filter(|end| *end > replaced) {
                        Some(end) => Some(at..end),
                        None if is_id => None,
                        None => sign(text, from, at),
                    }
                }
            };
            let Some(found) = found else {
                at += 1;
                continue;
            };
            let found = self.whole(text, found);
            at = found.end;
            if digits.as_ref().is_some_and(|digits| digits.start < at) {
                digits = hex_digits(text, at);
            }
            draft.redact(found);
        }
    }

    /// The end of the longest of the given secrets that begins here.
    fn secret_at(&self, text: &[u8], at: usize) -> Option<usize> {
        let rest = text.get(at..)?;
        let (first, second) = (rest.first()?, rest.get(1)?);
        let may_begin =
            self.mark(*first) & FIRST != 0 && (self.mark(*second) & SECOND != 0 || ENCODING.contains(first));
        if !may_begin {
            return None;
        }
        // What begins with a part of a run of backslashes begins with the whole of it too. To read the rest of the run from each of
        // its places would take time that grows with the square of its length.
        let is_within_run = starts_with_backslash(rest) && text.get(..at).is_some_and(ends_with_backslash);
        let length = |secret: &&str| {
            let secret = secret.as_bytes();
            if rest.starts_with(secret) {
                Some(secret.len())
            } else if is_within_run {
                None
            } else {
                begins_with_encoded(rest, secret)
            }
        };
        let secrets = self.secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN);
        secrets.filter_map(length).max().map(|length| at + length)
    }

    /// What is replaced for what was found: also the rest of a secret that reaches out of it, of a run of backslashes, which JSON adds
    /// to those of a secret, and of an escape of JSON, half of which is none.
    fn whole(&self, text: &[u8], found: Range<usize>) -> Range<usize> {
        let end = found.clone().filter_map(|at| self.secret_at(text, at)).fold(found.end, usize::max);
        let end =
            if text.get(..end).is_some_and(|found| found.ends_with(b"\\")) { skip(text, end, b"\\") } else { end };
        let start = unit_around(text, found.start).map_or(found.start, |unit| unit.start);
        start..unit_around(text, end).map_or(end, |unit| unit.end.min(text.len()))
    }
}

/// Text, and its copy as far as something was replaced.
struct Draft<'t> {
    text: &'t str,
    clean: String,
    /// The end of what was copied or replaced.
    done: usize,
}

impl<'t> Draft<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, clean: String::new(), done: 0 }
    }

    fn redact(&mut self, found: Range<usize>) {
        let before = self.text.get(self.done..found.start).unwrap_or_default();
        if self.clean.is_empty() {
            self.clean.reserve(self.text.len() + REDACTED.len());
        }
        if !before.is_empty() || !self.clean.ends_with(REDACTED) {
            self.clean.push_str(before);
            self.clean.push_str(REDACTED);
        }
        self.done = found.end;
    }

    fn finish(mut self) -> Option<String> {
        if self.done == 0 {
            return None;
        }
        self.clean.push_str(self.text.get(self.done..).unwrap_or_default());
        Some(self.clean)
    }
}

/// What the byte at `at` is a sign of. Nothing before `from` belongs to the text.
///
/// Most signs are of nothing. What reads on is marked as cold, because the scan takes a quarter longer with all of it inlined.
fn sign(text: &[u8], from: usize, at: usize) -> Option<Range<usize>> {
    let before = text.get(from..at)?;
    let rest = text.get(at..)?;
    match rest.first()? {
        b'b' | b'B' if begins(rest, "basic") => introduced(text, at + 5),
        b'b' | b'B' if begins(rest, "bearer") => introduced(text, at + 6),
        b'g' | b'G' if ends_with(before, "di") && begins(rest, "gest") => digest(text, at + 4),
        b'f' | b'F' if ends_with(before, "identi") && begins(rest, "fied") => identification(text, at + 4),
        b'f' | b'F' if begins(rest, "for") && ends_with(without_comment(before), "password") => {
            password_of_account(text, at + 3)
        }
        b'=' => named(text, before, at, false),
        b':' if rest.starts_with(b"://") => userinfo(text, before, at + 3),
        b':' => named(text, before, at, true),
        b'-' if rest.starts_with(b"-----BEGIN ") => Some(at..end_of_pem(text, at)),
        b'-' => uuid(text, before, at),
        b'.' => jwt(text, before, at),
        b'_' => own_token(rest).filter(|_| ends_with(before, "tdb")).map(|length| at - 3..at + length),
        b'I' => {
            let is_key = before.ends_with(b"AK") || before.ends_with(b"AS");
            let length = rest.iter().take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).count();
            // AKIA and ASIA, and 16 more. IAM User Guide, "IAM identifiers", unique ID prefixes.
            (is_key && rest.starts_with(b"IA") && length >= 18).then(|| at - 2..at + length)
        }
        b'/' if WEBHOOKS.iter().any(|webhook| ends_with(before, webhook)) => {
            redacted(text, at + 1, end_of_word(text, at + 1))
        }
        _ => None,
    }
}

/// The range, unless nothing is there or it was replaced before.
#[cold]
fn redacted(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let value = text.get(start..end)?;
    let is_done =
        value.strip_prefix(REDACTED.as_bytes()).is_some_and(|rest| !rest.iter().any(u8::is_ascii_alphanumeric));
    (!value.is_empty() && !is_done).then_some(start..end)
}

/// The value that follows an introduction and a blank.
#[cold]
fn introduced(text: &[u8], end: usize) -> Option<Range<usize>> {
    let start = skip(text, end, BLANKS);
    if start == end { None } else { redacted(text, start, end_of_value(text, start)) }
}

/// Parameters of Digest (RFC 7616 section 3.4): they go on to an end that only their server knows. Prose follows the word too.
#[cold]
fn digest(text: &[u8], end: usize) -> Option<Range<usize>> {
    let start = skip(text, end, BLANKS);
    let rest = text.get(start..)?;
    let rest = rest.get(..DIGEST_BYTES).unwrap_or(rest);
    let name = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let is_value_of =
        |at: usize, name: &str| rest.get(..at).is_some_and(|before| ends_with(before.trim_ascii_end(), name));
    let is_parameter = |(at, byte): (usize, &u8)| {
        *byte == b'=' && ["username", "realm", "nonce", "response"].iter().any(|name| is_value_of(at, name))
    };
    let begins = start > end && name > 0 && rest.get(skip(rest, name, BLANKS)) == Some(&b'=');
    if begins && rest.iter().enumerate().any(is_parameter) { redacted(text, start, text.len()) } else { None }
}

/// The password of a SQL user, whose clause goes on at `at`: `WITH plugin` or `WITH 'plugin'`, then `BY`, `AS` or `BY PASSWORD`.
/// `BY RANDOM PASSWORD` has none.
#[cold]
fn identification(text: &[u8], mut at: usize) -> Option<Range<usize>> {
    // A part of a longer word, of which there can be many in one: each would be read to its end.
    if text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return None;
    }
    let mut is_next = false;
    for _ in 0..5 {
        at = skip_gap(text, at);
        let word = sql_word(text, at);
        let is =
            |keyword: &str| text.get(at..at + word).is_some_and(|word| word.eq_ignore_ascii_case(keyword.as_bytes()));
        let is_introduction = is("by") || is("as") || (is_next && is("password"));
        if is_next && !is_introduction {
            let is_random =
                is("random") && text.get(skip_gap(text, at + word)..).is_some_and(|rest| begins(rest, "password"));
            return if is_random { None } else { redacted(text, at, end_of_value(text, at)) };
        }
        is_next |= is_introduction;
        at = if word == 0 { end_of_sql_name(text, at)? } else { at + word };
    }
    None
}

/// The password in `SET PASSWORD FOR 'name'@'host' = 'password'`, of which the account begins at `at`.
#[cold]
fn password_of_account(text: &[u8], mut at: usize) -> Option<Range<usize>> {
    at = skip_gap(text, end_of_sql_name(text, skip_gap(text, at))?);
    if text.get(at) == Some(&b'@') {
        at = skip_gap(text, end_of_sql_name(text, skip_gap(text, at + 1))?);
    }
    at = skip(text, at, b":");
    if text.get(at) != Some(&b'=') {
        return None;
    }
    let start = skip_gap(text, at + 1);
    redacted(text, start, end_of_value(text, start))
}

/// What is before blanks and a comment of SQL.
fn without_comment(before: &[u8]) -> &[u8] {
    let before = before.trim_ascii_end();
    let Some(comment) = before.strip_suffix(b"*/") else { return before };
    let start = comment.windows(2).rev().take(COMMENT_BYTES_MAX).position(|begin| begin == b"/*");
    let length = start.and_then(|start| comment.len().checked_sub(start + 2));
    length.and_then(|length| comment.get(..length)).unwrap_or(before).trim_ascii_end()
}

/// The length of the word of SQL that is here.
fn sql_word(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

/// The end of the name of a user, host or plugin, quoted or not. `None`: there is no name.
fn end_of_sql_name(text: &[u8], at: usize) -> Option<usize> {
    let text = text.get(..at + SQL_NAME_BYTES_MAX).unwrap_or(text);
    let open = skip(text, at, b"\\");
    match text.get(open)? {
        b'"' | b'\'' | b'`' => Some(end_of_quoted(text, open, open - at)),
        _ => {
            let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.%$()".contains(byte);
            let length = text.get(at..)?.iter().take_while(belongs).count();
            (length > 0).then_some(at + length)
        }
    }
}

/// The first place from `at` on that is neither blank, as JSON writes blanks too, nor a comment of SQL.
fn skip_gap(text: &[u8], mut at: usize) -> usize {
    let mut comments = 0;
    loop {
        at = skip(text, at, BLANKS);
        let escape = skip(text, at, b"\\");
        let rest = text.get(at..).unwrap_or_default();
        if escape > at && matches!(text.get(escape), Some(b'n' | b'r' | b't')) {
            at = escape + 1;
        } else if comments < COMMENTS_MAX
            && let Some(comment) = rest.strip_prefix(b"/*")
            && let Some(length) = comment.windows(2).take(COMMENT_BYTES_MAX).position(|end| end == b"*/")
        {
            comments += 1;
            at += length + 4;
        } else {
            return at;
        }
    }
}

/// The value of a name that ends before `at`. A colon follows words of prose too, as in `an invalid token: try again`: before it, such
/// a word is the name of a secret only if it is quoted, or is a part of a longer name. MySQL says `using password: NO`.
fn named(text: &[u8], before: &[u8], at: usize, is_colon: bool) -> Option<Range<usize>> {
    let mut name = before.trim_ascii_end();
    let mut is_bare = is_colon;
    if let Some((b'"' | b'\'' | b'`', unquoted)) = name.split_last() {
        is_bare = false;
        name = unquoted;
        while let Some((b'\\', unescaped)) = name.split_last() {
            name = unescaped;
        }
    }
    if !names_secret(name) {
        return None;
    }
    let start = skip(text, at + 1, b" \t=>");
    let rest = text.get(start..)?;
    if is_colon && ends_with(name, "cookie") && !matches!(rest.first(), Some(b'"' | b'\'' | b'\\')) {
        return redacted(text, start, end_of_cookies(text, start)?);
    }
    if is_bare {
        let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let length = name.iter().rev().take(NAME_BYTES).take_while(belongs).count();
        let is_prose = PROSE.iter().any(|word| length == word.len() && ends_with(name, word));
        let is_answer = [&b"YES"[..], b"NO"].into_iter().any(|answer| {
            rest.strip_prefix(answer).is_some_and(|after| !after.first().is_some_and(u8::is_ascii_alphanumeric))
        });
        if is_prose || is_answer {
            return None;
        }
    }
    redacted(text, start, end_of_value(text, start))
}

/// The end of `name=value; name=value` (RFC 6265 section 4.2.1), and of the attributes of a new cookie. `None`: here is none.
#[cold]
fn end_of_cookies(text: &[u8], start: usize) -> Option<usize> {
    let mut end = None;
    let mut at = start;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let name = rest.iter().take_while(|byte| byte.is_ascii_graphic() && !b"\"\\,;:=".contains(byte)).count();
        if rest.get(name) != Some(&b'=') {
            return end;
        }
        let value = text.get(at + name..).unwrap_or_default();
        let length = value.iter().take_while(|byte| byte.is_ascii_graphic() && !b"\"\\,;".contains(byte)).count();
        let pair = at + name + length;
        end = Some(pair);
        at = skip(text, pair, b"; ");
        if text.get(pair) != Some(&b';') {
            return end;
        }
    }
}

/// The user information of an authority that begins at `start` (RFC 3986 section 3.2). A password that somebody did not encode can
/// have what ends an authority in it.
#[cold]
fn userinfo(text: &[u8], scheme: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = text.get(start..)?;
    let ends_url = |byte: &u8| matches!(byte, b'"' | b'<' | b'>') || byte.is_ascii_whitespace();
    let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#') || ends_url(byte);
    let authority = rest.get(..rest.iter().position(ends).unwrap_or(rest.len()))?;
    if let Some(end) = authority.iter().rposition(|byte| *byte == b'@') {
        return redacted(text, start, start + end);
    }
    let colon = authority.iter().rposition(|byte| *byte == b':')?;
    let is_port = authority.iter().skip(colon + 1).all(u8::is_ascii_digit)
        && ["http", "https"].iter().any(|web| ends_with(scheme, web));
    if is_port || authority.starts_with(b"[") {
        return None;
    }
    let next = rest.windows(3).position(|window| window == b"://" || window.first().is_some_and(ends_url));
    let url = rest.get(..next.unwrap_or(rest.len()))?;
    redacted(text, start, start + url.iter().rposition(|byte| *byte == b'@')?)
}

/// A JSON Web Token (RFC 7519 section 3), of which the first dot is at `dot`.
fn jwt(text: &[u8], before: &[u8], dot: usize) -> Option<Range<usize>> {
    let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let rest = text.get(dot + 1..)?;
    let claims = rest.iter().take_while(belongs).count();
    if claims == 0 || rest.get(claims) != Some(&b'.') {
        return None;
    }
    let length = before.iter().rev().take_while(belongs).count();
    let run = before.get(before.len() - length..)?;
    // `{"` in base64url.
    let header = length - run.windows(3).position(|window| window == b"eyJ")?;
    if header < JWT_HEADER_BYTES_MIN {
        return None;
    }
    let length = rest.iter().take_while(|byte| belongs(byte) || **byte == b'.').count();
    Some(dot - header..dot + 1 + length)
}

/// A UUID (RFC 9562 section 4) whose first dash is this.
fn uuid(text: &[u8], before: &[u8], dash: usize) -> Option<Range<usize>> {
    let mut at = dash;
    for length in [4, 4, 4, 12] {
        let group = text.get(at + 1..at + 1 + length)?;
        if text.get(at) != Some(&b'-') || !group.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        at += 1 + length;
    }
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_hexdigit()).count();
    (digits >= 8).then(|| dash - digits..at)
}

/// The first run of hexadecimal digits from `from` on that is long enough for a key. One of them is at every 32nd byte.
fn hex_digits(text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut probe = from + HEX_DIGITS_MIN - 1;
    loop {
        if !text.get(probe)?.is_ascii_hexdigit() {
            probe += HEX_DIGITS_MIN;
            continue;
        }
        let digits = |bytes: &mut dyn Iterator<Item = &u8>| bytes.take_while(|byte| byte.is_ascii_hexdigit()).count();
        let start = probe - digits(&mut text.get(from..probe)?.iter().rev());
        let end = probe + digits(&mut text.get(probe..)?.iter());
        if end - start >= HEX_DIGITS_MIN {
            return Some(start..end);
        }
        probe = end + HEX_DIGITS_MIN;
    }
}

/// The length of what follows `tdb` in a token, as `store::token` writes them.
fn own_token(rest: &[u8]) -> Option<usize> {
    let [b'_', first, second, b'_', b'v' | b'V', version, b'.', ..] = rest else { return None };
    let is_token = first.is_ascii_alphabetic() && second.is_ascii_alphabetic() && version.is_ascii_digit();
    let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    is_token.then(|| rest.iter().take_while(belongs).count())
}

/// The end of a block of PEM (RFC 7468 section 2), or of the text if it was cut off.
#[cold]
fn end_of_pem(text: &[u8], start: usize) -> usize {
    let find = |from: usize, what: &[u8]| {
        let rest = text.get(from..)?;
        rest.windows(what.len()).position(|window| window == what).map(|at| from + at + what.len())
    };
    find(start, b"-----END ").and_then(|end| find(end, b"-----")).unwrap_or(text.len())
}

const BLANKS: &[u8] = b" \t\n\r";

/// The first place from `at` on that has none of these.
fn skip(text: &[u8], at: usize, what: &[u8]) -> usize {
    at + text.get(at..).unwrap_or_default().iter().take_while(|byte| what.contains(byte)).count()
}

fn ends_with(text: &[u8], word: &str) -> bool {
    let start = text.len().checked_sub(word.len());
    start.and_then(|start| text.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
}

fn begins(text: &[u8], word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether a name ends as those of secrets do, with dashes and underscores anywhere.
fn names_secret(name: &[u8]) -> bool {
    // Looks at the one letter first: this is asked for every name of a line.
    let ends: &[&str] = match name.last() {
        Some(b'd' | b'D') => &["password", "passwd", "pwd"],
        Some(b'e' | b'E') => &["signature", "passphrase", "cookie"],
        Some(b'n' | b'N') => &["token"],
        Some(b't' | b'T') => &["secret"],
        Some(b'y' | b'Y') => &["apikey", "privatekey", "accesskey", "secretkey", "accountkey"],
        _ => return false,
    };
    ends.iter().any(|end| {
        let mut letters = name.iter().rev().filter(|byte| !matches!(byte, b'-' | b'_'));
        end.bytes().rev().all(|letter| letters.next().is_some_and(|byte| byte.eq_ignore_ascii_case(&letter)))
    })
}

fn starts_with_backslash(text: &[u8]) -> bool {
    matches!(text, [b'\\', ..] | [b'%', b'5', b'c' | b'C', ..])
}

fn ends_with_backslash(text: &[u8]) -> bool {
    matches!(text, [.., b'\\'] | [.., b'%', b'5', b'c' | b'C'])
}

fn looks_like_id(value: &[u8]) -> bool {
    value.len() <= ID_BYTES_MAX && value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// The closing quotation mark of a string of JSON.
fn end_of_string(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of a value, which may be quoted, also within a string, and within `PASSWORD('...')`, `Some("...")` and the like.
#[cold]
fn end_of_value(text: &[u8], start: usize) -> usize {
    let mut quoted = start;
    for _ in 0..3 {
        let word = sql_word(text, quoted);
        if word > 0 && text.get(quoted + word) == Some(&b'(') {
            quoted += word + 1;
        }
    }
    let at = skip(text, quoted, b"\\");
    match text.get(at) {
        Some(b'"' | b'\'' | b'`') => end_of_quoted(text, at, at - quoted),
        _ => end_of_word(text, start),
    }
}

/// The end of what is quoted from `open` on, with the mark there after so many backslashes. After more of them, and doubled, the
/// mark belongs to the value. Where both can be meant, it does too.
fn end_of_quoted(text: &[u8], open: usize, backslashes: usize) -> usize {
    let quote = text.get(open);
    let mut at = open + 1;
    while at < text.len() {
        let mark = skip(text, at, b"\\");
        if mark - at <= backslashes && text.get(mark) == quote {
            let next = skip(text, mark + 1, b"\\");
            if next - mark - 1 > backslashes || text.get(next) != quote {
                return mark + 1;
            }
            at = next + 1;
        } else {
            at = mark + 1;
        }
    }
    text.len()
}

fn end_of_word(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let ends = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'&' | b';' | b'"');
    let word = rest.get(..rest.iter().position(ends).unwrap_or(rest.len())).unwrap_or_default();
    // A comma within it may be of a password, one behind it is of the sentence.
    let end = start + word.strip_suffix(b",").unwrap_or(word).len();
    // The backslash of an escaped quotation mark is not of the word.
    unit_around(text, end).map_or(end, |escape| escape.start.max(start))
}

/// The escape of JSON, or [`REDACTED`], that a place is in the middle of.
fn unit_around(text: &[u8], place: usize) -> Option<Range<usize>> {
    let before = |bytes_max: usize| (1..=bytes_max).map_while(move |bytes| place.checked_sub(bytes));
    let mut replaced = before(REDACTED.len() - 1);
    if let Some(start) = replaced.find(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(REDACTED.as_bytes()))) {
        return Some(start..start + REDACTED.len());
    }
    let start = before(5).find(|at| text.get(*at) == Some(&b'\\'))?;
    let backslashes = text.get(..=start)?.iter().rev().take_while(|byte| **byte == b'\\').count();
    let mut end = match text.get(start + 1..)? {
        [b'u', digits @ ..] if digits.iter().take(4).filter(|digit| digit.is_ascii_hexdigit()).count() == 4 => {
            start + 6
        }
        _ => start + 2,
    };
    // Text that is not JSON may have any character after a backslash.
    while text.get(end).is_some_and(|byte| matches!(byte, 0x80..0xc0)) {
        end += 1;
    }
    (backslashes % 2 == 1 && place < end).then_some(start..end)
}

/// The length of a secret that text begins with: percent-encoded, or with the escapes of JSON, also of JSON within JSON.
fn begins_with_encoded(text: &[u8], secret: &[u8]) -> Option<usize> {
    let hex = |digits: &[u8]| u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
    let mut at = 0;
    let mut secret = secret;
    while !secret.is_empty() {
        // An escape adds backslashes to those of the secret.
        let own = skip(secret, 0, b"\\");
        // Only the first run is read to its end: nothing begins within it. The letters before another can be those of `%5c`.
        let backslashes_max = if at == 0 { usize::MAX } else { BACKSLASHES_MAX * (own + 1) };
        let mut backslashes = 0;
        while backslashes < backslashes_max {
            match text.get(at..)? {
                [b'\\', ..] => at += 1,
                [b'%', b'5', b'c' | b'C', ..] => at += 3,
                _ => break,
            }
            backslashes += 1;
        }
        if backslashes < own {
            return None;
        }
        let Some((byte, after)) = secret.get(own..).and_then(<[u8]>::split_first) else { break };
        let is_escaped = backslashes > own;
        at += match text.get(at..)? {
            [b'%', digits @ ..] if digits.get(..2).and_then(hex) == Some(u32::from(*byte)) => 3,
            [same, ..] if same == byte => 1,
            [b'+', ..] if *byte == b' ' => 1,
            [b'u', digits @ ..] if is_escaped && digits.get(..4).and_then(hex) == Some(u32::from(*byte)) => 5,
            [letter, ..] if is_escaped && letter_of(*byte) == Some(*letter) => 1,
            _ => return None,
        };
        secret = after;
    }
    Some(at)
}

/// How JSON writes a control character, after a backslash.
fn letter_of(control: u8) -> Option<u8> {
    match control {
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    /// The form of TiDB Cloud's private keys.
    const UUID: &str = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";
    const HEX: &str = "0123456789abcdef0123456789ABCDEF";

    #[test]
    fn what_looks_like_a_secret_is_replaced_and_what_is_around_it_stays() {
        let token = "tdb_at_v1.AAAAAAAAAAAAAAAAAAAAAA.canary-_canary";
        for (text, clean) in [
            ("Authorization: Digest username=\"a\", response=\"canary\"", "Authorization: Digest [redacted]"),
            ("BASIC Y2FuYXJ5 was wrong", "BASIC [redacted] was wrong"),
            ("[bearer  canary.canary, x]", "[bearer  [redacted], x]"),
            (&format!("got {token}?"), "got [redacted]?"),
            ("?password=canary&x=1", "?password=[redacted]&x=1"),
            ("user:pwd = 'can''ary', x", "user:pwd = [redacted], x"),
            (r#"{"dbPassword": "can\"ary", "x": 1}"#, r#"{"dbPassword": [redacted], "x": 1}"#),
            (
                r#"it said {\"client_secret\":\"can\\\"ary\",\"x\":1}"#,
                r#"it said {\"client_secret\":[redacted],\"x\":1}"#,
            ),
            ("X-TiDB-SQL-Secret: canary", "X-TiDB-SQL-Secret: [redacted]"),
            ("(using password: YES)", "(using password: YES)"),
            ("an invalid token: try again", "an invalid token: try again"),
            ("IDENTIFIED BY 'canary \\' canary' near", "IDENTIFIED BY [redacted] near"),
            (
                "identified by 'can''ary', b IDENTIFIED BY canary;",
                "identified by [redacted], b IDENTIFIED BY [redacted];",
            ),
            (r#"IDENTIFIED\n BY \"can\\\"ary\" near"#, r"IDENTIFIED\n BY [redacted] near"),
            ("IDENTIFIED WITH 'plugin' AS 'canary' x", "IDENTIFIED WITH 'plugin' AS [redacted] x"),
            ("identified with plugin by password'canary' x", "identified with plugin by password[redacted] x"),
            (&format!("id {HEX}."), "id [redacted]."),
            (&format!("id {}.", &HEX[1..]), &format!("id {}.", &HEX[1..])),
            (&format!("key {UUID},"), "key [redacted],"),
            ("key 6f9619ff-8b86-d011-b42d", "key 6f9619ff-8b86-d011-b42d"),
            ("a -----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY----- b", "a [redacted] b"),
            ("a -----BEGIN PRIVATE KEY-----\ncanary", "a [redacted]"),
            ("AKIACANARYCANARYCANA and ASIACANARYCANARYCANA.", "[redacted] and [redacted]."),
            ("AKIASHORT", "AKIASHORT"),
            (
                "?X-Amz-Signature=canary&X-Goog-Signature=canary",
                "?X-Amz-Signature=[redacted]&X-Goog-Signature=[redacted]",
            ),
            ("Credential=a, Signature=canary", "Credential=a, Signature=[redacted]"),
            ("mysql://root:can@ary@host:4000/db", "mysql://[redacted]@host:4000/db"),
            ("https://tidbcloud.com/a@b", "https://tidbcloud.com/a@b"),
            ("https://hooks.slack.com/services/T0/B0/canary failed", "https://hooks.slack.com/[redacted] failed"),
            ("https://discord.com/api/webhooks/1/canary", "https://discord.com/api/webhooks/[redacted]"),
            ("a cluster 1379661944646413143 and branch-1", "a cluster 1379661944646413143 and branch-1"),
            ("ending in password=", "ending in password="),
            ("tdb_users, basic", "tdb_users, basic"),
            ("X-TiDB-API-Private-Key: canary", "X-TiDB-API-Private-Key: [redacted]"),
            ("private-key: \"can ary\", x", "private-key: [redacted], x"),
            ("api-key=canary access-key=canary", "api-key=[redacted] access-key=[redacted]"),
            ("aws_secret-access-key=canary;", "aws_secret-access-key=[redacted];"),
            ("account-key=canary&SecretKey: canary", "account-key=[redacted]&SecretKey: [redacted]"),
            ("secret_key=canary passphrase=canary", "secret_key=[redacted] passphrase=[redacted]"),
            ("accessToken: canary", "accessToken: [redacted]"),
            ("password: canary, x", "password: [redacted], x"),
            ("password:\tcanary", "password:\t[redacted]"),
            ("password: NOcanary", "password: [redacted]"),
            ("(using password: NO)", "(using password: NO)"),
            ("password=a,canary, x", "password=[redacted], x"),
            ("password: Some(\"can ary\"), x", "password: [redacted]), x"),
            ("SET PASSWORD FOR 'a' = 'can ary' x", "SET PASSWORD FOR 'a' = [redacted] x"),
            ("set password/**/for `a`@'%' := PASSWORD('can ary') x", "set password/**/for `a`@'%' := [redacted]) x"),
            ("password for the account = x", "password for the account = x"),
            ("IDENTIFIED/**/BY 'canary' x", "IDENTIFIED/**/BY [redacted] x"),
            ("IDENTIFIED BY RANDOM PASSWORD, b", "IDENTIFIED BY RANDOM PASSWORD, b"),
            ("identified by random/* x */password", "identified by random/* x */password"),
            ("identified by randomcanary", "identified by [redacted]"),
            ("Cookie: sid=canary; b=canary failed", "Cookie: [redacted] failed"),
            ("Set-Cookie: sid=canary; Path=/; x", "Set-Cookie: [redacted]; x"),
            ("a cookie: it is sweet", "a cookie: it is sweet"),
            ("\"cookie\": \"sid=canary; x\", y", "\"cookie\": [redacted], y"),
            ("got eyJhbGciOiJub25lIn0.e30.canary, x", "got [redacted], x"),
            ("idtoken_eyJhbGciOiJIUzI1NiJ9.canary.", "idtoken_[redacted]"),
            ("eyJhbGciOiJub25lIn0.e30", "eyJhbGciOiJub25lIn0.e30"),
            ("com.KeyJar.of.keys", "com.KeyJar.of.keys"),
            ("mysql://u:p/canary@h", "mysql://[redacted]@h"),
            ("mysql://u:1#canary@h", "mysql://[redacted]@h"),
            ("https://u:p/canary@h", "https://[redacted]@h"),
            ("https://[::1]/a@b http://h:80/a@b", "https://[::1]/a@b http://h:80/a@b"),
            ("Digest of the answer differs, x", "Digest of the answer differs, x"),
            ("Digest algorithm=MD5 is meant", "Digest algorithm=MD5 is meant"),
            ("Digest qop=auth, realm=\"a\", x", "Digest [redacted]"),
        ] {
            assert_eq!(scrub_text(text, &[]), clean, "what is shown of {text}");
            // The same as a value of a line.
            let line = json!({"event": "x", "text": text}).to_string();
            let shown: Value = serde_json::from_str(&scrub(&line, &[])).expect("a line that is still JSON");
            assert!(!shown.to_string().contains("canary"), "{shown} has none");
            assert_eq!(
                matches!(scrub(&line, &[]), Cow::Borrowed(_)),
                text == clean,
                "nothing is copied without need: {line}"
            );
        }
    }

    #[test]
    fn given_secrets_are_found_however_they_are_written() {
        let secret = "can\"ary\\ k/e&y\u{e9}\n";
        let encoded = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
        let within = json!({"a": json!({ "b": secret }).to_string()}).to_string();
        for text in [
            format!("<{secret}>"),
            format!("<{encoded}>"),
            format!("<{}>", encoded.replace('+', "%20").to_lowercase()),
            json!({ "a": secret }).to_string(),
            within,
        ] {
            for clean in [scrub_text(&text, &[secret]), scrub(&text, &[secret])] {
                assert!(!clean.contains("can") && !clean.contains("%A9"), "nothing is left of the secret in {clean}");
            }
        }
        assert_eq!(scrub_text("a key is a key", &["key", ""]), "a key is a key", "short secrets would hide words");
        assert_eq!(scrub_text("canary-long canary", &["canary", "canary-long"]), "[redacted] [redacted]");
        assert_eq!(scrub_text("redacted act [redacted]", &["redacted"]), "[redacted] act [redacted]");
    }

    #[test]
    fn the_servers_own_ids_stay_and_no_value_can_pretend_to_be_one() {
        for line in [
            json!({"event": "request", "request_id": HEX, "trace_id": HEX, "span_id": "00f067aa0ba902b7"}),
            json!({"calls": [{"upstream_id": UUID, "millis": 12}], "left": true, "ratio": 1.5e-9, "none": null}),
        ] {
            assert_eq!(scrub(&line.to_string(), &[HEX.get(..3).unwrap_or_default()]), line.to_string());
        }
        let spaced = format!(r#"{{"request_id": "{HEX}", "n": 1}}"#);
        assert_eq!(scrub(&spaced, &[]), spaced);
        for value in [
            format!(r#"","request_id":"{HEX}"#),
            format!(r#"\","request_id":"{HEX}","x":"\"#),
            format!(r#""request_id":"{HEX}""#),
            format!("_id\":\"{HEX}"),
            format!("request_id={HEX}"),
            HEX.to_owned(),
            UUID.to_owned(),
        ] {
            let line = json!({"message": value, "list": [value], "some_id": format!("{value} "), "request_id": HEX});
            let clean: Map<String, Value> = serde_json::from_str(&scrub(&line.to_string(), &[])).expect("JSON");
            let own = clean.get("request_id").and_then(Value::as_str);
            assert_eq!(own, Some(HEX), "the server's own id is there");
            let rest = json!([clean.get("message"), clean.get("list"), clean.get("some_id")]).to_string();
            assert!(!rest.contains(&HEX[..8]) && !rest.contains(&UUID[..8]), "no other is: {rest}");
        }
        let listed = json!({"key_id": [HEX], "deep_id": {"x": HEX}}).to_string();
        assert!(!scrub(&listed, &[]).contains(HEX), "the value itself is the id, not what is in it");
        let line = json!({ "request_id": HEX }).to_string();
        assert_eq!(scrub(&line, &[HEX]), r#"{"request_id":"[redacted]"}"#, "a secret that is given is no id");
    }

    #[test]
    fn a_name_of_a_secret_hides_its_value_and_a_line_that_is_none_is_read_as_text() {
        let line =
            json!({"sql_password": "canary", "token": ["canary", {"x": "y"}], "secret": "", "tokens": 5}).to_string();
        let clean = r#"{"secret":"","sql_password":"[redacted]","token":["[redacted]",{"x":"y"}],"tokens":5}"#;
        assert_eq!(
            serde_json::from_str::<Value>(&scrub(&line, &[])).expect("JSON"),
            serde_json::from_str::<Value>(clean).expect("JSON")
        );
        for text in [
            &format!(r#"{{"request_id":"{HEX}"#),
            &format!(r#"{{"request_id":"{HEX}"}} and more"#),
            &format!(r#"{{password=canary "request_id":"{HEX}"}}"#),
            &format!(r#" {{"request_id":"{HEX}"}}"#),
        ] {
            let clean = scrub(text, &[]);
            assert!(!clean.contains(HEX) && !clean.contains("canary"), "{clean}");
        }
    }

    /// Text that is likely to be taken for something: its pieces are those that are recognized, cut anywhere.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("Digest ".to_owned()),
            Just("bearer ".to_owned()),
            Just("password=".to_owned()),
            Just("\"token\":\"".to_owned()),
            Just("IDENTIFIED BY '".to_owned()),
            Just("password for a=".to_owned()),
            Just("password: ".to_owned()),
            Just("api-key=Some(\"".to_owned()),
            Just("cookie: a=b;".to_owned()),
            Just("eyJhbGciOiJub25lIn0.e30.".to_owned()),
            Just("realm=".to_owned()),
            Just("-----BEGIN KEY-----".to_owned()),
            Just("://a:b@".to_owned()),
            Just("/webhook/".to_owned()),
            Just("tdb_at_v1.".to_owned()),
            Just("AKIA".to_owned()),
            Just("[redacted]".to_owned()),
            Just("_id\":\"".to_owned()),
            Just(UUID.to_owned()),
            "[0-9a-f]{8}-?|[0-9A-F]{30,40}",
            "\\\\{0,3}u00[0-9a-f]{1,2}",
            "[\"'\\\\]{1,3}",
            "\\PC{0,6}",
            any::<String>(),
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    /// Secrets as people choose them, and worse ones. One that is in the replacement cannot be hidden by it.
    fn secrets() -> impl Strategy<Value = Vec<String>> {
        let secret = "canary-[a-z]{4}|[ -~]{4,12}|[\\\\\"'%u0é]{4,8}|\\PC{4,8}";
        proptest::collection::vec(
            secret.prop_filter("hidden by itself", |secret| !REDACTED.contains(secret.as_str())),
            0..3,
        )
    }

    fn strings(value: &Value) -> Vec<&str> {
        match value {
            Value::String(text) => vec![text],
            Value::Array(values) => values.iter().flat_map(strings).collect(),
            Value::Object(members) => members.values().flat_map(strings).collect(),
            _ => Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn a_line_stays_json_with_its_names_and_without_secrets(
            names in proptest::collection::vec("[a-z]{1,6}(_id|_token)?|\\PC{0,6}", 1..4),
            values in proptest::collection::vec(hostile(), 4),
            secrets in secrets(),
            at in 0_usize..4,
        ) {
            let given: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let mut line = Map::new();
            for (index, (name, value)) in names.iter().zip(&values).enumerate() {
                let half = value.chars().count() / 2;
                let (before, after): (String, String) = (value.chars().take(half).collect(), value.chars().skip(half).collect());
                let secret = secrets.first().filter(|_| index == at % names.len()).cloned().unwrap_or_default();
                line.insert(name.clone(), format!("{before}{secret}{after}").into());
            }
            let nested = json!({"deep": [line.clone(), 1, null]}).to_string();
            for text in [Value::Object(line).to_string(), nested] {
                let clean = scrub(&text, &given);
                let read = serde_json::from_str::<Value>(&clean);
                prop_assert!(read.is_ok(), "{text}\nbecame\n{clean}");
                let (read, was) = (read.unwrap_or_default(), serde_json::from_str::<Value>(&text).unwrap_or_default());
                let names = |value: &Value| serde_json::to_string(&blank(value)).unwrap_or_default();
                prop_assert_eq!(names(&read), names(&was), "only values are replaced");
                for string in strings(&read) {
                    for secret in &secrets {
                        prop_assert!(!string.contains(secret.as_str()), "{secret:?} is still in {string:?}");
                    }
                }
                prop_assert_eq!(scrub(&clean, &given), &*clean, "there is nothing left to do");
            }
        }

        #[test]
        fn any_text_loses_its_secrets_once_and_for_all(
            before in hostile(),
            after in hostile(),
            secrets in secrets(),
            how in 0..3,
        ) {
            let given: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let secret = secrets.first().map(String::as_str).unwrap_or_default();
            let written = match how {
                0 => secret.to_owned(),
                1 => url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
                _ => Value::from(secret).to_string(),
            };
            let text = format!("{before}{written}{after}");
            for scrubbing in [scrub, scrub_text] {
                let clean = scrubbing(&text, &given);
                for secret in &given {
                    prop_assert!(!clean.contains(secret), "{secret:?} is still in {clean:?}");
                }
                let inner = written.trim_matches('"');
                prop_assert!(secret.is_empty() || REDACTED.contains(inner) || !clean.contains(inner), "{inner} is in {clean}");
                prop_assert_eq!(scrubbing(&clean, &given), &*clean, "there is nothing left to do");
            }
        }
    }

    /// The same with empty strings.
    fn blank(value: &Value) -> Value {
        match value {
            Value::String(_) => "".into(),
            Value::Array(values) => values.iter().map(blank).collect(),
            Value::Object(members) => {
                Value::Object(members.iter().map(|(name, value)| (name.clone(), blank(value))).collect())
            }
            other => other.clone(),
        }
    }
}
