//! One thing that is not as the script expects.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// What was expected, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mismatch {
    /// What is compared: `request 1, form field grant_type`.
    pub place: String,
    pub expected: String,
    pub found: String,
}

/// The longest text of one side that is shown.
const MAX_SHOWN: usize = 2000;

impl Mismatch {
    pub(crate) fn new(place: impl Into<String>, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self { place: place.into(), expected: shown(&expected), found: shown(&found) }
    }

    /// The same at a place within another.
    pub(crate) fn within(mut self, outer: &str) -> Self {
        self.place = format!("{outer}, {}", self.place);
        self
    }
}

fn shown(text: &dyn fmt::Display) -> String {
    let text = text.to_string();
    match text.char_indices().nth(MAX_SHOWN).and_then(|(at, _)| text.get(..at)) {
        Some(start) => format!("{start}… ({} bytes)", text.len()),
        None => text,
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.place)?;
        for (sign, text) in [('-', &self.expected), ('+', &self.found)] {
            let mut lines = text.lines();
            writeln!(f, "  {sign} {}", lines.next().unwrap_or_default())?;
            lines.try_for_each(|line| writeln!(f, "  {sign} {line}"))?;
        }
        Ok(())
    }
}
