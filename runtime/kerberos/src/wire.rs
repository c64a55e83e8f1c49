//! What the coordinator and a login process say to each other: frames over a socket between the two.
//!
//! A frame is its length in four bytes, big-endian, and that many bytes. Each request has a number, which its response
//! repeats; responses come in any order. A text or a list of bytes is its length in four bytes, and the bytes.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use deputy_core::{Span, TicketSource};

use crate::{Fault, FaultCause};

/// The longest message that a context protects or opens, and the longest token.
pub const LONGEST_MESSAGE: usize = 1 << 20;

/// The longest token of a peer that `step` takes.
pub const LONGEST_STEP: usize = 64 << 10;

/// The longest frame: a message, what protects it, and the rest of the frame.
pub(crate) const LONGEST_FRAME: usize = LONGEST_MESSAGE + (64 << 10);

/// What a login process has to know. The first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginSetup {
    pub(crate) principal: String,
    pub(crate) source: TicketSource,
    pub(crate) configuration: Configuration,
    /// Whether the KDCs may be on this machine: then a network is not needed.
    pub(crate) is_local: bool,
}

/// What the library reads as its krb5.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Configuration {
    File(PathBuf),
    Text(String),
}

/// A ticket-granting ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// How long it is valid from now on.
    pub(crate) life: Span,
    /// By how many seconds the KDC's clock is ahead of this machine's.
    pub(crate) clock_offset_seconds: i32,
}

/// What a step returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stepped {
    /// For the peer, even if it is empty and the protocol expects an answer.
    pub token: Vec<u8>,
    /// Whether messages can be protected from now on. The last token may still have to be sent.
    pub established: bool,
}

/// What a peer protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwrapped {
    pub message: Vec<u8>,
    /// Whether the peer encrypted it.
    pub sealed: bool,
}

/// What the coordinator asks for. A context's number is the coordinator's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginRequest {
    LogIn,
    Begin {
        context: u64,
        target: String,
    },
    Step {
        context: u64,
        token: Vec<u8>,
    },
    Wrap {
        context: u64,
        confidential: bool,
        message: Vec<u8>,
    },
    Unwrap {
        context: u64,
        token: Vec<u8>,
    },
    /// Has no response.
    Close {
        context: u64,
    },
}

/// What the login process answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginResponse {
    LoggedIn(Ticket),
    Stepped(Stepped),
    Wrapped(Vec<u8>),
    Unwrapped(Unwrapped),
    Failed(Fault),
}

impl LoginSetup {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut frame = FrameWriter::default();
        frame.bytes(self.principal.as_bytes());
        match &self.source {
            TicketSource::Keytab(path) => frame.byte(0).bytes(path.as_os_str().as_bytes()),
            TicketSource::Cache(name) => frame.byte(1).bytes(name.as_bytes()),
        };
        match &self.configuration {
            Configuration::File(path) => frame.byte(0).bytes(path.as_os_str().as_bytes()),
            Configuration::Text(text) => frame.byte(1).bytes(text.as_bytes()),
        };
        frame.byte(u8::from(self.is_local));
        frame.finish()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let mut frame = FrameReader(body);
        let principal = frame.text()?;
        let source = match frame.byte()? {
            0 => TicketSource::Keytab(frame.path()?),
            1 => TicketSource::Cache(frame.text()?),
            _ => return None,
        };
        let configuration = match frame.byte()? {
            0 => Configuration::File(frame.path()?),
            1 => Configuration::Text(frame.text()?),
            _ => return None,
        };
        let is_local = frame.flag()?;
        frame.end()?;
        Some(Self { principal, source, configuration, is_local })
    }
}

impl LoginRequest {
    pub(crate) fn encode(&self, number: u64) -> Vec<u8> {
        let mut frame = FrameWriter::default();
        frame.number(number);
        match self {
            Self::LogIn => frame.byte(0),
            Self::Begin { context, target } => frame.byte(1).number(*context).bytes(target.as_bytes()),
            Self::Step { context, token } => frame.byte(2).number(*context).bytes(token),
            Self::Wrap { context, confidential, message } => {
                frame.byte(3).number(*context).byte(u8::from(*confidential)).bytes(message)
            }
            Self::Unwrap { context, token } => frame.byte(4).number(*context).bytes(token),
            Self::Close { context } => frame.byte(5).number(*context),
        };
        frame.finish()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<(u64, Self)> {
        let mut frame = FrameReader(body);
        let number = frame.number()?;
        let request = match frame.byte()? {
            0 => Self::LogIn,
            1 => Self::Begin { context: frame.number()?, target: frame.text()? },
            2 => Self::Step { context: frame.number()?, token: frame.bytes()?.to_vec() },
            3 => Self::Wrap { context: frame.number()?, confidential: frame.flag()?, message: frame.bytes()?.to_vec() },
            4 => Self::Unwrap { context: frame.number()?, token: frame.bytes()?.to_vec() },
            5 => Self::Close { context: frame.number()? },
            _ => return None,
        };
        frame.end()?;
        Some((number, request))
    }
}

impl LoginResponse {
    pub(crate) fn encode(&self, number: u64) -> Vec<u8> {
        let mut frame = FrameWriter::default();
        frame.number(number);
        match self {
            Self::LoggedIn(ticket) => {
                let offset = i64::from(ticket.clock_offset_seconds).cast_unsigned();
                frame.byte(0).number(ticket.life.as_millis()).number(offset)
            }
            Self::Stepped(stepped) => frame.byte(1).byte(u8::from(stepped.established)).bytes(&stepped.token),
            Self::Wrapped(token) => frame.byte(2).bytes(token),
            Self::Unwrapped(opened) => frame.byte(3).byte(u8::from(opened.sealed)).bytes(&opened.message),
            Self::Failed(fault) => frame.byte(4).byte(fault.cause.number()).bytes(fault.detail.as_bytes()),
        };
        frame.finish()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<(u64, Self)> {
        let mut frame = FrameReader(body);
        let number = frame.number()?;
        let response = match frame.byte()? {
            0 => Self::LoggedIn(Ticket {
                life: Span::millis(frame.number()?),
                clock_offset_seconds: i32::try_from(frame.number()?.cast_signed()).ok()?,
            }),
            1 => {
                let established = frame.flag()?;
                Self::Stepped(Stepped { token: frame.bytes()?.to_vec(), established })
            }
            2 => Self::Wrapped(frame.bytes()?.to_vec()),
            3 => {
                let sealed = frame.flag()?;
                Self::Unwrapped(Unwrapped { message: frame.bytes()?.to_vec(), sealed })
            }
            4 => Self::Failed(Fault { cause: FaultCause::of_number(frame.byte()?)?, detail: frame.text()? }),
            _ => return None,
        };
        frame.end()?;
        Some((number, response))
    }
}

/// A frame that is being written.
#[derive(Default)]
struct FrameWriter(Vec<u8>);

impl FrameWriter {
    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(length(bytes.len()));
        self.0.extend(bytes);
        self
    }

    fn finish(self) -> Vec<u8> {
        [&length(self.0.len())[..], &self.0].concat()
    }
}

/// Lengths beyond a frame's bound are never written: a reader refuses the frame.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// What is left of a frame.
struct FrameReader<'a>(&'a [u8]);

impl<'a> FrameReader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (bytes, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        self.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned)
    }

    fn path(&mut self) -> Option<PathBuf> {
        self.bytes().map(|bytes| PathBuf::from(OsString::from_vec(bytes.to_vec())))
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests;
