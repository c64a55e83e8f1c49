//! A server of HBase in memory, for the tests of the kit.

use crate::frames::with_length;
use crate::sasl::{Quality, SecurityContext, SecurityLayer};
use crate::testing::FakeContext;
use std::io::{self, Read, Write};

/// A server of HBase in memory. What it lies about is set before.
pub(super) struct Server {
    pub(super) context: FakeContext,
    pub(super) layer: Option<SecurityLayer<FakeContext>>,
    /// The layers that it offers.
    pub(super) mask: u8,
    /// Bytes to send in place of an answer of the login, by the number of the message that they answer.
    pub(super) lies: Vec<(usize, Vec<u8>)>,
    /// The answers to calls.
    pub(super) answers: Vec<Vec<u8>>,
    /// The length of the pieces in which a wrapped answer comes.
    pub(super) piece: usize,
    pub(super) received: Vec<u8>,
    /// Messages of the client that were taken so far, the preamble included.
    pub(super) count: usize,
    /// Messages behind the login, unwrapped: the connection's header first.
    pub(super) calls: Vec<Vec<u8>>,
    pub(super) out: io::Cursor<Vec<u8>>,
}

impl Server {
    /// A server that offers these layers.
    pub(super) fn offering(mask: u8) -> Self {
        Self {
            context: FakeContext::server(),
            layer: None,
            mask,
            lies: Vec::new(),
            answers: Vec::new(),
            piece: usize::MAX,
            received: Vec::new(),
            count: 0,
            calls: Vec::new(),
            out: io::Cursor::new(Vec::new()),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.out.get_mut().extend(bytes);
    }

    /// Takes whole messages of what came.
    fn advance(&mut self) {
        if self.count == 0 && self.received.starts_with(b"HBas\0\x51") {
            self.received.drain(..6);
            self.count = 1;
        }
        while let Some(length) = self.received.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) as usize) {
            if self.count == 0 || self.received.len() < 4 + length {
                return;
            }
            let rest = self.received.split_off(4 + length);
            let message = std::mem::replace(&mut self.received, rest).split_off(4);
            self.count += 1;
            match self.lies.iter().find(|(number, _)| *number == self.count - 1).cloned() {
                Some((_, lie)) => self.push(&lie),
                None if self.layer.is_some() => self.take_call(&message),
                None => self.take_login(&message),
            }
        }
    }

    fn take_login(&mut self, token: &[u8]) {
        let answer = match self.count - 1 {
            1 => self.context.step(token).unwrap().token,
            2 => self.context.wrap(&[self.mask, 1, 0, 0], false).unwrap(),
            _ => {
                let choice = self.context.unwrap(token).unwrap().message;
                let quality = Quality::ALL[choice[0].trailing_zeros() as usize];
                let context = std::mem::replace(&mut self.context, FakeContext::server());
                self.layer = Some(SecurityLayer::testing(context, quality));
                return;
            }
        };
        self.push(&[&[0; 4], with_length(&answer).unwrap().as_slice()].concat());
    }

    fn take_call(&mut self, message: &[u8]) {
        let layer = self.layer.as_mut().unwrap();
        let is_wrapped = layer.quality() != Quality::Authentication;
        let mut message = layer.open(message).unwrap();
        if is_wrapped {
            assert_eq!(message[..4], u32::try_from(message.len() - 4).unwrap().to_be_bytes());
            message.drain(..4);
        }
        self.calls.push(message);
        if self.calls.len() == 1 || self.answers.is_empty() {
            return;
        }
        let answer = with_length(&self.answers.remove(0)).unwrap();
        if !is_wrapped {
            return self.push(&answer);
        }
        for piece in answer.chunks(self.piece) {
            let token = self.layer.as_mut().unwrap().protect(piece).unwrap();
            self.push(&with_length(&token).unwrap());
        }
    }
}

impl Read for Server {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.out.read(buffer)
    }
}

impl Write for Server {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.received.extend(bytes);
        self.advance();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
