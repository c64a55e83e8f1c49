//! The files that a receiver puts.

use crate::bindings::delegation::tokens::outputs::{self, OutputError};
use crate::failure;
use crate::types::Failure;

/// The files of one call by their paths, before any of them is put. Code that makes them can be tested without a host.
pub type OutputFiles = std::collections::BTreeMap<String, Vec<u8>>;

/// Whether a path is one that `wit/outputs.wit` allows: at most 8 plain names with slashes between.
#[must_use]
pub fn is_path(path: &str) -> bool {
    path.split('/').count() <= 8 && path.split('/').all(is_plain_name)
}

fn is_plain_name(name: &str) -> bool {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+=,".contains(&byte));
    is_plain && (1..=100).contains(&name.len()) && !name.starts_with('.')
}

/// Puts all files.
///
/// # Errors
/// `misconfigured` if the host denies one: the operator configures the paths and the limits.
pub fn put(files: &OutputFiles) -> Result<(), Failure> {
    for (path, contents) in files {
        outputs::put(path, contents).map_err(|error| denied(path, error))?;
    }
    Ok(())
}

fn denied(path: &str, error: OutputError) -> Failure {
    let path = crate::text::one_line(path, 100);
    failure::misconfigured(match error {
        OutputError::Denied(text) => format!("the file `{path}` is denied: {text}"),
        OutputError::InvalidPath(text) => format!("the path `{path}` is not valid: {text}"),
        OutputError::TooLarge(text) => format!("the file `{path}` is too large: {text}; raise the receiver's limits"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Next;

    #[test]
    fn outputs_failure_names_the_file() {
        let failure = denied("../x\n", OutputError::InvalidPath("\"../x\" is not the path of an output".to_owned()));
        assert_eq!(failure.next, Next::Misconfigured);
        assert_eq!(failure.message, "the path `../x` is not valid: \"../x\" is not the path of an output");
    }

    #[test]
    fn outputs_path_is_of_plain_names() {
        for path in ["credentials", "conf/core-site.xml", "a/b/c/d/e/f/g/h", "x@y+z=1,2", &"n".repeat(100)] {
            assert!(is_path(path), "{path}");
        }
        for path in ["", "/a", "a/", "a//b", "../a", "a/.b", "a b", "é", "a/b/c/d/e/f/g/h/i", &"n".repeat(101)] {
            assert!(!is_path(path), "{path}");
        }
    }
}
