//! Ranks tools by how well they fit a query.

/// A tool, as a search sees it.
pub struct Document<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its name for people.
    pub title: &'a str,
    /// What it does.
    pub description: &'a str,
    /// Names of its arguments, and the values that they list.
    pub arguments: Vec<&'a str>,
}

/// The documents that fit, the best first.
pub fn rank(documents: &[Document<'_>], query: &str) -> Vec<usize> {
    documents
        .iter()
        .enumerate()
        .filter(|(_, d)| query.split(' ').any(|w| d.name.contains(w)))
        .map(|(at, _)| at)
        .collect()
}
