//! Values that must never be printed.

/// A private key, password, token or cookie.
///
/// It has no `Debug`, `Display` or `Serialize`: code that needs the text calls [`Secret::expose`], which is easy to find in
/// a review.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in time that depends on the lengths only, not on where the texts differ.
    pub fn matches(&self, other: &str) -> bool {
        let (left, right) = (self.0.as_bytes(), other.as_bytes());
        left.len() == right.len() && left.iter().zip(right).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn matches_only_the_same_text() {
        let secret = Secret::new("canary-access-key");
        assert!(secret.matches("canary-access-key"));
        assert!(!secret.matches("canary-access-kez"));
        assert!(!secret.matches("canary-access-ke"));
        assert!(!secret.matches(""));
    }
}
