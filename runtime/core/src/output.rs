//! What a receiver leaves for the workload: files, published as one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::{SecretBytes, excerpt};

/// All files of one `accept`. They hold what was delivered, so they are as secret.
#[derive(Debug, Default)]
pub struct Outputs {
    pub files: BTreeMap<OutputPath, SecretBytes>,
}

/// Where a file lies below its output directory: plain names with slashes between, `conf/core-site.xml`.
///
/// It can't leave the directory, name the directory itself, or hide: no name is empty, `.` or `..`, begins with a dot, or
/// has other characters than ASCII letters, digits, `.`, `_`, `-`, `@`, `+`, `=` and `,`. So it is the same file on every system and in every
/// tool that a workload might use. At most 8 names of at most 100 bytes each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputPath(String);

/// Why a text is no path of an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the path of an output: use plain names with slashes between, such as `conf/core-site.xml`; no leading \
     slash or dot, no `..`"
)]
pub struct OutputPathError(String);

/// Names in a path.
const DEEPEST: usize = 8;

/// Bytes in a name.
const LONGEST: usize = 100;

impl OutputPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its names, from the directory to the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether one of the two would have to be a file and a directory at once.
    pub fn collides(&self, other: &Self) -> bool {
        let (short, long) = if self.0.len() <= other.0.len() { (self, other) } else { (other, self) };
        long.0.strip_prefix(&short.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl AsRef<Path> for OutputPath {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

fn is_plain_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+=,".contains(&byte))
}

impl FromStr for OutputPath {
    type Err = OutputPathError;

    fn from_str(text: &str) -> Result<Self, OutputPathError> {
        if text.split('/').count() <= DEEPEST && text.split('/').all(is_plain_name) {
            Ok(Self(text.to_owned()))
        } else {
            Err(OutputPathError(excerpt(text, 120)))
        }
    }
}

impl fmt::Display for OutputPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_path_survives_the_round_trip() {
        for text in ["credentials", "conf/core-site.xml", "a/b/c/d/e/f/g/h", "user@REALM.keys", &"a".repeat(100)] {
            assert_eq!(text.parse::<OutputPath>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn output_path_rejects_escapes_hidden_files_and_ambiguity() {
        for text in [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            ".hidden",
            "a/.b",
            "a\\b",
            "a\0b",
            "a\nb",
            "a b",
            "C:",
            "CON:",
            "\u{fc}",
            "a/b/c/d/e/f/g/h/i",
            &"a".repeat(101),
            "~/a",
            "$HOME",
            "*",
        ] {
            assert!(text.parse::<OutputPath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn output_path_collides_with_a_directory_of_another_file() {
        let path = |text: &str| text.parse::<OutputPath>().unwrap();
        assert!(path("a").collides(&path("a/b")));
        assert!(path("a/b").collides(&path("a")));
        assert!(path("a").collides(&path("a")));
        assert!(!path("a").collides(&path("ab")));
        assert!(!path("a/b").collides(&path("a/c")));
    }
}
