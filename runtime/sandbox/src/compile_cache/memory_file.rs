//! A file in memory that is written once and then sealed: what was authenticated is what is mapped.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// A file in memory that is being written.
pub(crate) struct Draft(File);

/// Compiled code in memory that no process can change any more.
pub(crate) struct Code(File);

impl Draft {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(Self(File::from(memfd_create("deputy-code", flags)?)))
    }

    /// For a child's standard output.
    pub(crate) fn stdout(&self) -> io::Result<Stdio> {
        Ok(self.0.try_clone()?.into())
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    /// Ends all writing. Fails if a process has a writable mapping of the file.
    pub(crate) fn seal(self) -> io::Result<Code> {
        fcntl_add_seals(&self.0, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        Ok(Code(self.0))
    }
}

impl Code {
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// A path that leads to the file while this value lives.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// Fills a buffer from an offset on.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test arranges and inspects its own files")]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn sealed_code_can_be_read_and_not_changed() {
        let draft = Draft::new().unwrap();
        draft.write_all_at(&[7; 50_000], 50_000).unwrap();
        draft.write_all_at(&[8; 50_000], 0).unwrap();
        let code = draft.seal().unwrap();
        assert_eq!(code.len().unwrap(), 100_000);
        let mut read = vec![0; 100_000];
        code.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, [[8; 50_000], [7; 50_000]].concat());
        let mut writer = File::options().write(true).open(code.path()).unwrap();
        assert!(writer.write_all(b"x").is_err());
        assert!(writer.set_len(1).is_err());
    }
}
