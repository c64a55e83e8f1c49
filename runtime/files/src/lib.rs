//! Directories held open.
//!
//! State, compile cache, published units, components and payload files are each reached through a
//! [`cap_std::fs::Dir`]: the directory is opened once, without following a link, and judged by what was opened. Everything
//! below goes through that handle, so a path that is swapped afterwards changes nothing. Ambient paths are opened in
//! [`ambient`] alone; `clippy.toml` bans the functions of `std::fs` that would do it elsewhere.
//!
//! What cap-std cannot do is in `sys`: syncing and locking a directory, owners, and properties of a mount. Staged
//! writes are ours, too ([`StagedFile`]), rather than cap-tempfile's, for three reasons. Until their mode is
//! changed, its files are readable by all users that the umask permits; a crash between linking and renaming leaves a name that nothing can
//! recognise and remove later; and it never syncs.
//!
//! This crate never follows a link unless the function says so, reads without a bound, or knows what a file means.

mod access;
pub mod ambient;
mod error;
pub mod judge;
mod private_dir;
mod read;
mod staged;
pub mod sys;

pub use access::{Access, Identity, Owners, shell_quoted};
pub use error::{FileError, is_wrong_path};
pub use private_dir::{PrivateDir, is_staged, names};
pub use read::{FileOpen, FileRead, Unusable, fill, open_regular, read_regular};
pub use staged::{StagedFile, write_file};

#[cfg(test)]
mod tests;
