//! Unix sockets: where they are, and who may connect.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::diagnostic::DiagnosticSink;
use crate::value::Located;

/// The mode of a socket: its owner may read and write, its group perhaps, and nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

/// A text is no mode of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the mode of a socket that only its owner, or owner and group, may use: write \"0600\" or \"0660\"")]
pub struct SocketModeError;

/// A Unix socket's path has room for so many bytes, on Linux.
const LONGEST: usize = 107;

impl SocketMode {
    /// As `chmod` takes it.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for SocketMode {
    /// For its owner alone.
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for SocketMode {
    type Err = SocketModeError;

    fn from_str(text: &str) -> Result<Self, SocketModeError> {
        // Who connects must be able to write, so a mode without that is a mistake.
        let sound =
            |bits: &u32| bits & !0o660 == 0 && bits & 0o600 == 0o600 && matches!(bits & 0o060, 0 | 0o020 | 0o060);
        octal(text).filter(sound).map(Self).ok_or(SocketModeError)
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Three or four octal digits, as `chmod` takes them.
fn octal(text: &str) -> Option<u32> {
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(text, 8).ok().filter(|_| digits)
}

/// A path that a socket can have.
pub(crate) fn path(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<PathBuf> {
    let path = value.path(sink, base)?;
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST {
        sink.error(value.at(), format!("the path of this socket has {length} bytes"))
            .expected(format!("at most {LONGEST}, its folder included"));
        return None;
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_survives_the_round_trip() {
        for text in ["0600", "0620", "0660"] {
            assert_eq!(text.parse::<SocketMode>().unwrap().to_string(), text);
        }
        assert_eq!("660".parse::<SocketMode>().unwrap().bits(), 0o660);
        assert_eq!(SocketMode::default().bits(), 0o600);
    }

    #[test]
    fn a_mode_that_lets_others_in_or_nobody_is_refused() {
        for text in
            ["", "0", "600 ", "+600", "0666", "0700", "0602", "0640", "0060", "0000", "4600", "00600", "rw", "0o600"]
        {
            assert_eq!(text.parse::<SocketMode>(), Err(SocketModeError), "{text:?}");
        }
    }
}
