//! A reader of `WWW-Authenticate` that takes what RFC 9110 section 11 defines and nothing else.

/// A challenge: its scheme, and its parameters in order with their values unquoted.
#[derive(Debug, PartialEq, Eq)]
pub struct Challenge {
    pub scheme: String,
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Reads a value that is one challenge with parameters.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, mut rest) = token(text)?;
        rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
        let mut parameters: Vec<(String, String)> = Vec::new();
        loop {
            let (name, after) = token(rest)?;
            let after = blank(after).strip_prefix('=').map(blank)?;
            let (value, after) = if after.starts_with('"') { quoted(after)? } else { token(after)? };
            if parameters.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
                return None;
            }
            parameters.push((name, value));
            match blank(after) {
                "" => return Some(Self { scheme, parameters }),
                more => rest = blank(more.strip_prefix(',')?),
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Bad whitespace, which recipients take (RFC 9110 section 5.6.3).
fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

fn token(text: &str) -> Option<(String, &str)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let ends = text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len());
    (ends > 0).then(|| (text[..ends].to_owned(), &text[ends..]))
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.strip_prefix('"')?.char_indices());
    loop {
        match characters.next()? {
            (at, '"') => return Some((value, &text[at + 2..])),
            (_, '\\') => {
                let (_, escaped) = characters.next()?;
                matches!(escaped, '\t' | ' '..='~').then(|| value.push(escaped))?;
            }
            (_, plain) => matches!(plain, '\t' | ' '..='~').then(|| value.push(plain))?,
        }
    }
}
