//! A folder that outlives the servers that use it, and ends with its value or this process, whichever way it dies.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::Error;

/// The folder, and who removes it once our end of the pipe is closed.
pub struct Lasting {
    folder: TempDir,
    watcher: Child,
}

impl Lasting {
    /// An empty one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(name: &str) -> Result<Self, Error> {
        let failed = |error| Error::new(format!("no folder for {name}: {error}"));
        let folder = tempfile::Builder::new().prefix(&format!("deputy-{name}-")).tempdir().map_err(failed)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' INT TERM HUP; cat >/dev/null; rm -rf \"$1\"", "watcher"]).arg(folder.path());
        let watcher = command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(failed)?;
        Ok(Self { folder, watcher })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        drop(self.watcher.wait());
    }
}
