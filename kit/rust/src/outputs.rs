//! The files that a receiver puts.

use crate::bindings::delegation::tokens::outputs::{self, OutputError};
use crate::failure;
use crate::types::Failure;

/// The files of one call by their paths, before any of them is put. Code that makes them can be tested without a host.
pub type OutputFiles = std::collections::BTreeMap<String, Vec<u8>>;

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
}
