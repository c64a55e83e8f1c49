//! A server that answers anything, and a login that believes it.

use deputy_kit_hadoop::sasl::{ContextError, ContextStep, OpenedMessage, SecurityContext};
use std::io::{Cursor, Read, Result, Write};

/// A connection to the server.
pub struct AnyServer<'a>(Cursor<&'a [u8]>);

impl<'a> AnyServer<'a> {
    /// A server that answers with these bytes, whatever it is asked.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Cursor::new(bytes))
    }
}

impl Read for AnyServer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for AnyServer<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A context that takes every token, so that the server reaches what lies behind.
pub struct Credulous;

impl SecurityContext for Credulous {
    fn step(&mut self, token: &[u8]) -> std::result::Result<ContextStep, ContextError> {
        Ok(ContextStep { token: token.to_owned(), established: !token.is_empty() })
    }

    fn wrap(&mut self, message: &[u8], _: bool) -> std::result::Result<Vec<u8>, ContextError> {
        Ok(message.to_owned())
    }

    fn unwrap(&mut self, token: &[u8]) -> std::result::Result<OpenedMessage, ContextError> {
        Ok(OpenedMessage { message: token.to_owned(), sealed: true })
    }
}

/// What must hold of every error: one bounded line.
pub fn is_one_line(error: &impl ToString) {
    let text = error.to_string();
    assert!(text.len() < 4000 && !text.chars().any(char::is_control), "{text:?}");
}
