//! Facts that a component adds to what it returns, for people to read.

#![deny(missing_docs)]

/// The most facts that are kept of one list.
pub const MOST_FACTS: usize = 16;
/// The longest name of a fact, in bytes.
pub const LONGEST_FACT_NAME: usize = 64;
/// The longest value of a fact, in bytes.
pub const LONGEST_FACT_VALUE: usize = 256;
/// Names of the host's own facts begin with this; a component cannot set them.
pub const HOST_FACT_PREFIX: &str = "deputy.";

/// A name and a value in a component's words: bounded and on one line each, without known secrets, and not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is about.
    pub name: String,
    /// What it says.
    pub value: String,
}
