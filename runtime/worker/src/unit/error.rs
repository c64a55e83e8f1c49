//! Why a unit is not published, and how to fix it.

use std::path::PathBuf;

use deputy_core::OutputPath;
use deputy_files::FileError;

/// A unit is not published. The unit before is whole.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("another process publishes to {}: stop it, or configure another directory for one of the two", .0.display())]
    Busy(PathBuf),
    #[error("the receiver wrote {0}, and also files below it: a path cannot be both a file and a directory")]
    Collision(OutputPath),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "{} exists and was not created by deputy: move it away, rename the receiver, or configure another directory",
        .0.display()
    )]
    Foreign(PathBuf),
    #[error("cannot switch {}: nothing may be mounted inside of its directory", .0.display())]
    Mounted(PathBuf),
    #[error("the system's random number generator failed")]
    Random,
    #[error("{} is not a link that deputy created: move it away, or rename the receiver", .0.display())]
    Taken(PathBuf),
}

impl PublishError {
    /// Whether publishing fails until an operator changes something.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::File(error) => error.is_lasting(),
            Self::Collision(_) | Self::Foreign(_) | Self::Taken(_) => true,
            Self::Busy(_) | Self::Mounted(_) | Self::Random => false,
        }
    }
}
