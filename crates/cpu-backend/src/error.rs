//! The crate's error: what failed, why, and what to do about it.

use std::fmt;

/// A refused request. Prints as `what: why (hint)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What failed.
    pub what: String,
    /// Why it failed, with the numbers that disagree.
    pub why: String,
    /// What the caller can do.
    pub hint: String,
}

impl Error {
    pub(crate) fn new(what: impl Into<String>, why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), hint: hint.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.what, self.why, self.hint)
    }
}

impl std::error::Error for Error {}
