//! The files that a receiver leaves.

use crate::bindings::delegation::tokens::outputs::{self, OutputError};
use crate::types::Failure;

/// The files of one call, by their paths, before any of them is put: so what makes them can be tried without a host.
pub type Files = std::collections::BTreeMap<String, Vec<u8>>;

/// Puts all of them.
///
/// # Errors
/// `misconfigured`, where the host refuses one: its path is the operator's word, and so is how much there may be.
pub fn put(files: &Files) -> Result<(), Failure> {
    for (path, contents) in files {
        outputs::put(path, contents).map_err(|error| refused(path, error))?;
    }
    Ok(())
}

fn refused(path: &str, error: OutputError) -> Failure {
    let path = crate::text::one_line(path, 100);
    Failure::Misconfigured(match error {
        OutputError::Denied(text) => format!("the file `{path}` is not taken: {text}"),
        OutputError::InvalidPath(text) => format!("no file can be at `{path}`: {text}"),
        OutputError::TooLarge(text) => format!("no room for the file `{path}`: {text}; raise the receiver's limits"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_says_of_a_file_names_the_file() {
        let failure = refused("../x\n", OutputError::InvalidPath("\"../x\" is not the path of an output".to_owned()));
        let Failure::Misconfigured(text) = failure else { panic!("{failure:?}") };
        assert_eq!(text, "no file can be at `../x`: \"../x\" is not the path of an output");
    }
}
