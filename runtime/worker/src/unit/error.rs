//! Why a unit is not published, and what mends it.

use std::io;
use std::path::{Path, PathBuf};

use deputy_core::OutputPath;
use rustix::io::Errno;

/// A unit is not published. What was published before is whole.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Two processes would undo each other's work.
    #[error("another process publishes to {}: end it, or give one of the two another directory", .0.display())]
    Busy(PathBuf),
    /// A receiver's files can't all be there.
    #[error("the receiver wrote {0}, and also files below it: it can't be both a file and a directory")]
    Collision(OutputPath),
    /// Others could put something else in its place.
    #[error("others can write to {} (mode {mode:04o}) and could replace what is in it: `chmod go-w {}`, or mount a volume there that nobody else has", path.display(), path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A directory of somebody's.
    #[error(
        "{} is there and was not made by deputy: move it away, name the receiver otherwise, or give it another directory",
        .0.display()
    )]
    Foreign(PathBuf),
    /// The system failed.
    #[error("cannot {doing} {}{}", path.display(), advice(.source))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No directory.
    #[error("{} is a link or no directory: give the path of the directory itself", .0.display())]
    Kind(PathBuf),
    /// Somebody else could put something else in its place.
    #[error("{} belongs to user {owner}, who could replace what is in it: `sudo chown {user} {}`", path.display(), path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs this process.
        user: u32,
    },
    /// There is no chance to be had from the system.
    #[error("the system's random number generator failed")]
    Random,
    /// Something else has the name.
    #[error("{} is not a link that deputy made: move it away, or name the receiver otherwise", .0.display())]
    Taken(PathBuf),
}

impl PublishError {
    pub(super) fn of_system(doing: &'static str, path: &Path, error: Errno) -> Self {
        Self::of_io(doing, path, error.into())
    }

    pub(super) fn of_io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    /// Whether only a person can mend it.
    pub fn is_slow(&self) -> bool {
        !matches!(self, Self::Busy(_) | Self::Io { .. } | Self::Random)
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => ": there is no room; free some space or raise the quota",
        Some(Errno::ROFS) => ": its file system is read-only; mount it writable or choose another directory",
        Some(Errno::ACCESS | Errno::PERM) => ": give this process's user the rights to it",
        Some(Errno::XDEV) => ": nothing may be mounted inside of the directory",
        _ => "",
    }
}
