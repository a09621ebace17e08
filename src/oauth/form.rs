//! Parameters as forms and queries carry them.

use url::form_urlencoded;

use crate::base::http::Headers;

/// 128: the consent form has five sets of six fields and some ten more.
const FIELDS_MAX: usize = 128;

/// Names and values in order (WHATWG URL, `application/x-www-form-urlencoded`). They may hold secrets.
pub struct Fields(Vec<(String, String)>);

/// A repeated parameter (RFC 6749 section 3.1 forbids it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

impl Fields {
    /// Reads a query or a body. `None` if it is not text or has far more fields than any known form.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok()?;
        let mut fields = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if fields.len() == FIELDS_MAX || value.contains('\u{fffd}') {
                return None;
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Some(Self(fields))
    }

    /// The value of a parameter that appears at most once; an empty one counts as absent (RFC 6749 section 3.1).
    ///
    /// # Errors
    /// It appears more than once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut all = self.0.iter().filter(|(field, _)| field == name);
        let first = all.next();
        if all.next().is_some() {
            return Err(Repeated);
        }
        Ok(first.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty()))
    }

    /// All values of a parameter, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Whether any parameter appears more than once.
    pub fn has_repeated(&self) -> bool {
        self.0.iter().enumerate().any(|(at, (name, _))| self.0.iter().skip(at + 1).any(|(other, _)| other == name))
    }
}

/// Whether a body says that it is a form, and nothing else.
pub fn is_form(headers: &Headers) -> bool {
    media_type(headers).is_some_and(|kind| kind == "application/x-www-form-urlencoded")
}

/// Media type without parameters, lower case (RFC 9110 section 8.3.1); `None` if several are given.
pub fn media_type(headers: &Headers) -> Option<String> {
    let value = headers.get("content-type")?;
    let kind = value.split(';').next()?.trim().to_ascii_lowercase();
    (!value.contains(',')).then_some(kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parameter_stands_at_most_once_and_empty_is_absent() {
        let fields = Fields::parse(b"a=1&b=&c=x%20y+z&c=2").unwrap();
        assert_eq!((fields.one("a"), fields.one("b"), fields.one("d")), (Ok(Some("1")), Ok(None), Ok(None)));
        assert_eq!(fields.one("c"), Err(Repeated));
        assert_eq!(fields.all("c").collect::<Vec<_>>(), ["x y z", "2"]);
        assert!(fields.has_repeated() && !Fields::parse(b"a=1&b=1").unwrap().has_repeated());
        assert!(Fields::parse(b"a=%ff").is_none(), "not text");
        assert!(Fields::parse("a=1&".repeat(200).as_bytes()).is_none());
    }

    #[test]
    fn a_form_says_so() {
        let says = |kind: &str| is_form(&[("Content-Type", kind)].into_iter().collect());
        assert!(says("application/x-www-form-urlencoded") && says("Application/X-WWW-Form-Urlencoded; charset=utf-8"));
        assert!(!says("application/json") && !says("") && !says("application/x-www-form-urlencoded, text/plain"));
        assert!(!is_form(&Headers::new()));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(pairs in prop::collection::vec(("[a-z]{1,4}", "\\PC{0,12}"), 0..20)) {
            let mut text = form_urlencoded::Serializer::new(String::new());
            text.extend_pairs(&pairs);
            let fields = Fields::parse(text.finish().as_bytes());
            let replaced = pairs.iter().any(|(_, value)| value.contains('\u{fffd}'));
            prop_assert_eq!(fields.map(|fields| fields.0), (!replaced).then_some(pairs));
        }

        #[test]
        fn whatever_is_sent_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Fields::parse(&bytes);
        }
    }
}
