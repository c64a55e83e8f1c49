//! Where Cargo put what it built.

use std::env::current_exe;
use std::path::{Path, PathBuf};

/// The folder of a build, such as `target/debug`: test programs lie in `deps` below it.
fn build_folder() -> PathBuf {
    current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// The program `deputy`, which Cargo builds before it runs the suites.
pub fn deputy_program() -> PathBuf {
    build_folder().join("deputy")
}

/// A folder of the target directory for what later runs of the tests find again.
pub(crate) fn lasting_folder(name: &str) -> PathBuf {
    let folder = build_folder();
    folder.parent().unwrap_or(Path::new("/")).join("tmp").join(name)
}
