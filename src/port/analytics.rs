//! Numbers that are kept for statistics.

/// Takes data points, if there is somebody to keep them.
pub trait Analytics {
    /// Whether points are kept. If not, none is made.
    fn is_on(&self) -> bool;

    /// Keeps a point.
    fn write(&self, point: &DataPoint<'_>);
}

/// A point. Its words are part of the program: nothing that arrives with a request can be one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataPoint<'a> {
    /// What points are sampled by.
    pub index: &'static str,
    /// Words.
    pub blobs: &'a [&'static str],
    /// Numbers.
    pub doubles: &'a [f64],
}
