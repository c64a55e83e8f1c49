//! The files of the repository that are in this crate.

/// Path from the root, and contents.
type File = (&'static str, &'static [u8]);

/// All of them, by path.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The files below a folder, which ends in a slash.
pub(crate) fn below(folder: &str) -> impl Iterator<Item = File> {
    FILES.iter().copied().filter(move |(path, _)| path.starts_with(folder))
}
