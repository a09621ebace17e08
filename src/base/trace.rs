//! W3C Trace Context: the id that a request has in the logs of everybody on its way.
//!
//! <https://www.w3.org/TR/trace-context/>

use super::hash::hex;

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;

/// The bit of `trace-flags` that says that the caller may have recorded its part.
const SAMPLED: u8 = 1;

/// Where in a trace one request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 16],
    span: [u8; 8],
    /// The span of the caller, if it sent one.
    parent: Option<[u8; 8]>,
    flags: u8,
}

impl Trace {
    /// The beginning of a trace with this id, and the span of the request that begins it.
    pub fn new(id: [u8; 16], span: [u8; 8]) -> Self {
        Self { id, span: valid_span(span), parent: None, flags: SAMPLED }
    }

    /// The same request as a part of its caller's trace, if `traceparent` is valid: two lower-case hexadecimal digits of a version
    /// other than `ff`, and then as version `00` writes it. A later version may have more at its end.
    #[must_use]
    pub fn within(self, traceparent: &str) -> Option<Self> {
        let (known, more) = traceparent.split_at_checked(LENGTH)?;
        let mut fields = known.split('-');
        let version: [u8; 1] = bytes(fields.next()?)?;
        let id: [u8; 16] = bytes(fields.next()?)?;
        let parent: [u8; 8] = bytes(fields.next()?)?;
        let [flags]: [u8; 1] = bytes(fields.next()?)?;
        let ends_well = match version {
            [0xff] => false,
            [0] => more.is_empty(),
            _ => more.is_empty() || more.starts_with('-'),
        };
        let is_valid = ends_well && fields.next().is_none() && id != [0; 16] && parent != [0; 8];
        is_valid.then_some(Self { id, parent: Some(parent), flags: flags & SAMPLED, ..self })
    }

    /// The trace id: 32 digits.
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    /// The span id of this request: 16 digits.
    pub fn span_id(&self) -> String {
        hex(&self.span)
    }

    /// The span id of the caller.
    pub fn parent_id(&self) -> Option<String> {
        self.parent.map(|parent| hex(&parent))
    }

    /// `traceparent` for a request to somebody else: a span of its own below this one, and its id.
    pub fn below(&self, random: [u8; 8]) -> (String, String) {
        let span = hex(&valid_span(random));
        (format!("00-{}-{span}-{:02x}", self.id(), self.flags), span)
    }
}

/// A span id of nothing but zeros is none.
fn valid_span(span: [u8; 8]) -> [u8; 8] {
    if span == [0; 8] { [1; 8] } else { span }
}

/// Bytes in lower-case hexadecimal.
fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    if digits.len() != 2 * N || !digits.bytes().all(is_digit) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OURS: Trace = Trace { id: [7; 16], span: [8; 8], parent: None, flags: SAMPLED };

    #[test]
    fn a_valid_parent_is_followed_and_another_one_is_not() {
        // The examples of W3C Trace Context, sections 3.2.3 and 3.2.4, and what they rule out.
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (traceparent, is_valid) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what-the-future-will-be-like", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-011", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0+", false),
            ("00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01", false),
            ("", false),
        ] {
            let followed = OURS.within(traceparent);
            assert_eq!(followed.is_some(), is_valid, "{traceparent}");
            if let Some(trace) = followed {
                assert_eq!((trace.id().as_str(), trace.parent_id().as_deref()), (id, Some("00f067aa0ba902b7")));
                assert_eq!(trace.span_id(), OURS.span_id(), "the span is that of this request");
            }
        }
    }

    proptest! {
        #[test]
        fn what_goes_on_can_be_followed(id in any::<[u8; 16]>(), span in any::<[u8; 8]>(), below in any::<[u8; 8]>()) {
            prop_assume!(id != [0; 16]);
            let trace = Trace::new(id, span);
            let (traceparent, span) = trace.below(below);
            let next = OURS.within(&traceparent);
            prop_assert_eq!(next.map(|next| (next.id(), next.parent_id())), Some((trace.id(), Some(span))));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,70}|[0-9a-f-]{50,60}") {
            let _ = OURS.within(&text);
        }
    }
}
