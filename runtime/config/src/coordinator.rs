//! `[coordinator]`

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use deputy_core::{SecretSource, Span};

use crate::diagnostic::Sink;
use crate::secret;
use crate::value::{Value, optional};

/// What the coordinator needs to know beside its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinator {
    /// Calls of components at once, from 1 to 1,000.
    pub calls: usize,
    /// The key that seals the state; without one the program makes its own, in the state directory.
    pub key: Option<SecretSource>,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub health: Option<SocketAddr>,
    /// The Unix socket on which commands come in; without one it lies in the state directory.
    pub control: Option<PathBuf>,
    /// Who may connect to it.
    pub control_mode: SocketMode,
    /// How long calls that are under way may go on after a signal.
    pub shutdown: Span,
}

/// The mode of a socket: its owner may read and write, its group perhaps, and nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

/// A text is no mode of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the mode of a socket that only its owner, or owner and group, may use: write \"0600\" or \"0660\"")]
pub struct SocketModeError;

/// A Unix socket's path has room for so many bytes, on Linux.
const LONGEST_SOCKET: usize = 107;

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            calls: 32,
            key: None,
            health: None,
            control: None,
            control_mode: SocketMode(0o600),
            shutdown: Span::secs(10),
        }
    }
}

impl SocketMode {
    /// As `chmod` takes it.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for SocketMode {
    type Err = SocketModeError;

    fn from_str(text: &str) -> Result<Self, SocketModeError> {
        let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let bits = u32::from_str_radix(text, 8).ok().filter(|_| digits);
        // Who connects must be able to write, so a mode without that is a mistake.
        let sound =
            |bits: &u32| bits & !0o660 == 0 && bits & 0o600 == 0o600 && matches!(bits & 0o060, 0 | 0o020 | 0o060);
        bits.filter(sound).map(Self).ok_or(SocketModeError)
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Reads `[coordinator]`; `None` if an error was noted.
pub(crate) fn read(sink: &mut Sink, base: &Path, value: Value<'_>) -> Option<Coordinator> {
    let default = Coordinator::default();
    let mut fields = value.table(sink, "[coordinator]")?;
    let calls = optional(fields.optional("calls"), |v| v.number(sink, "32", 1..=1000));
    let key = optional(fields.optional("key"), |v| key(sink, base, v));
    let health = optional(fields.optional("health"), |v| health(sink, v));
    let control = optional(fields.optional("control"), |v| control(sink, base, v));
    let control_mode = optional(fields.optional("control-mode"), |v| v.parsed(sink, "\"0600\""));
    let shutdown = optional(fields.optional("shutdown"), |v| v.span(sink, "\"10s\"", Span::secs(0)..=Span::secs(600)));
    fields.finish(sink);
    Some(Coordinator {
        calls: calls?.and_then(|calls| usize::try_from(calls).ok()).unwrap_or(default.calls),
        key: key?,
        health: health?,
        control: control?,
        control_mode: control_mode?.unwrap_or(default.control_mode),
        shutdown: shutdown?.unwrap_or(default.shutdown),
    })
}

fn key(sink: &mut Sink, base: &Path, value: Value<'_>) -> Option<SecretSource> {
    if !value.is_table() {
        // The value itself, perhaps.
        sink.mask(value.at());
    }
    let mut fields = value.table(sink, "{ file = \"state.key\" }")?;
    let source = secret::source(sink, base, &mut fields);
    for unknown in fields.finish(sink) {
        sink.mask(unknown.at());
    }
    source
}

fn health(sink: &mut Sink, value: Value<'_>) -> Option<SocketAddr> {
    let like = "\"127.0.0.1:8270\"";
    let text = value.text(sink, like)?;
    let Ok(address) = text.parse::<SocketAddr>() else {
        sink.error(value.at(), "not an address with a port").expected(format!("write {like}"));
        return None;
    };
    if !address.ip().to_canonical().is_loopback() {
        sink.warning(value.at(), "this address can be reached from other machines")
            .expected(format!("such as {like}"))
            .hint("whoever reaches it reads the names of the instances, and whether they fail; nobody is asked who they are");
    }
    Some(address)
}

fn control(sink: &mut Sink, base: &Path, value: Value<'_>) -> Option<PathBuf> {
    let path = value.path(sink, base)?;
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_SOCKET {
        sink.error(value.at(), format!("the path of this socket has {length} bytes"))
            .expected(format!("at most {LONGEST_SOCKET}, its folder included"));
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
        assert_eq!(Coordinator::default().control_mode.bits(), 0o600);
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
