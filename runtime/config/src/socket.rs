//! Unix sockets: path and mode.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::diagnostic::DiagnosticSink;
use crate::value::Located;

/// The mode of a socket: the owner may read and write, the group perhaps, other users never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mode that permits the owner, or owner and group, and no other user: write \"0600\" or \"0660\"")]
pub struct SocketModeError;

/// The longest path of a Unix socket on Linux, in bytes.
const MAX_LENGTH: usize = 107;

impl SocketMode {
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for SocketMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for SocketMode {
    type Err = SocketModeError;

    fn from_str(text: &str) -> Result<Self, SocketModeError> {
        // Connecting requires write permission, so a mode without it is a mistake.
        let is_valid =
            |bits: &u32| bits & !0o660 == 0 && bits & 0o600 == 0o600 && matches!(bits & 0o060, 0 | 0o020 | 0o060);
        octal(text).filter(is_valid).map(Self).ok_or(SocketModeError)
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Parses three or four octal digits.
fn octal(text: &str) -> Option<u32> {
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(text, 8).ok().filter(|_| is_octal)
}

pub(crate) fn path(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<PathBuf> {
    let path = value.path(sink, base)?;
    let length = path.as_os_str().as_bytes().len();
    if length > MAX_LENGTH {
        sink.error(value.at(), format!("the path of this socket is too long: it has {length} bytes"))
            .expected(format!("at most {MAX_LENGTH} bytes, including its directory"));
        return None;
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_mode_survives_the_round_trip() {
        for text in ["0600", "0620", "0660"] {
            assert_eq!(text.parse::<SocketMode>().unwrap().to_string(), text);
        }
        assert_eq!("660".parse::<SocketMode>().unwrap().bits(), 0o660);
        assert_eq!(SocketMode::default().bits(), 0o600);
    }

    #[test]
    fn socket_mode_for_others_or_for_no_user_is_refused() {
        for text in
            ["", "0", "600 ", "+600", "0666", "0700", "0602", "0640", "0060", "0000", "4600", "00600", "rw", "0o600"]
        {
            assert_eq!(text.parse::<SocketMode>(), Err(SocketModeError), "{text:?}");
        }
    }
}
