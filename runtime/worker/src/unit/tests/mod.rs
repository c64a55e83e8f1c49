#![expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use deputy_core::{FileMode, SecretBytes};
use rustix::fs::{Gid, Uid};

use super::*;
use crate::testing::{put, random};

/// A time for tests in which none goes by.
const NOW: MonotonicTime = MonotonicTime::from_millis(0);

mod basics;
mod child;
mod hostile;
mod readers;

fn units(directory: &Path) -> UnitPublisher {
    units_for(directory, FileAccess::default())
}

fn units_for(directory: &Path, access: FileAccess) -> UnitPublisher {
    UnitPublisher::new(directory.to_owned(), "aws".parse().unwrap(), access, random())
}

fn outputs(files: &[(&str, &str)]) -> Outputs {
    let file = |(path, text): &(&str, &str)| (path.parse().unwrap(), SecretBytes::new(text.as_bytes().to_vec()));
    Outputs { files: files.iter().map(file).collect() }
}

/// Files that all say the same, so that a mixture shows.
fn alike(number: u64) -> Outputs {
    let text = number.to_string().repeat(300);
    outputs(&[("a", &text), ("b", &text), ("conf/deep/c", &text)])
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The units in the container, and links that were never moved.
fn there(directory: &Path) -> Vec<String> {
    names(&directory.join(".aws"))
        .into_iter()
        .filter(|name| ![".deputy", ".notified"].contains(&name.as_str()))
        .collect()
}

fn read(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join("aws").join(file)).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
