//! Where the lines of a fix go: the comment before them, for an operator and for the program that applies them.

use std::fmt;

/// Where the lines of a fix go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FixPlace {
    /// A rule that is not there yet.
    NewRule,
    /// A rule that is there. The lines replace those of the same keys.
    Rule {
        /// Its number among the rules of the same list, from 1.
        number: usize,
        /// The name of the list: `instances.s3.http`.
        table: String,
    },
    /// A table that is not there yet.
    NewTable,
    /// A table, whose lines of the same keys they replace.
    Table,
    /// A table in which they replace this key.
    InPlaceOf(String),
}

impl FixPlace {
    /// The place that a fix names: that of its first line that names one.
    pub fn of(fix: &str) -> Option<Self> {
        fix.lines().find_map(Self::parse)
    }

    fn parse(line: &str) -> Option<Self> {
        if let Some(rest) = line.strip_prefix("# in this existing rule, number ") {
            let (number, table) = rest.strip_suffix("]]:")?.split_once(" of [[")?;
            return Some(Self::Rule { number: number.parse().ok()?, table: table.to_owned() });
        }
        if let Some(rest) = line.strip_prefix("# in this table, in place of `") {
            return Some(Self::InPlaceOf(rest.split_once("`, ")?.0.to_owned()));
        }
        [Self::NewRule, Self::NewTable, Self::Table].into_iter().find(|place| place.to_string() == line)
    }
}

impl fmt::Display for FixPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewRule => f.write_str("# a new rule:"),
            Self::Rule { number, table } => write!(f, "# in this existing rule, number {number} of [[{table}]]:"),
            Self::NewTable => f.write_str("# a new table:"),
            Self::Table => f.write_str("# in this table, replacing its current lines:"),
            Self::InPlaceOf(key) => {
                write!(f, "# in this table, in place of `{key}`, since a secret serves one purpose:")
            }
        }
    }
}
