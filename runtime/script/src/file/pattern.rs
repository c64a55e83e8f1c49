//! A regular expression of a script.
//!
//! A script may come from a stranger and have thousands: each is bounded, and is compiled for the one comparison that needs it.

use regex::{Regex, RegexBuilder};

/// A regular expression that compiles within the bound. The library takes linear time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

/// Bytes that a compiled expression may take.
const MAX_COMPILED: usize = 256 << 10;

impl Pattern {
    pub(crate) fn new(source: String) -> Result<Self, regex::Error> {
        compiled(&source)?;
        Ok(Self(source))
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        compiled(&self.0).is_ok_and(|regex| regex.is_match(text))
    }

    pub(crate) fn source(&self) -> &str {
        &self.0
    }
}

fn compiled(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_is_bounded_and_found_in_a_text() {
        let pattern = |source: &str| Pattern::new(source.to_owned());
        assert!(pattern("^a+b").unwrap().is_match("aabc") && !pattern("^a+b").unwrap().is_match("b"));
        assert!(pattern(r"^\w+\.\w+\.\w+$").is_ok());
        for wrong in ["(", r"\w{500}", "(a{100}){100}"] {
            assert!(pattern(wrong).is_err(), "{wrong}");
        }
    }
}
