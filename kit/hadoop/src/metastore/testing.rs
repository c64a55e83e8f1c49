//! A metastore in memory, for the tests of the kit.

use crate::frames::with_length;
use crate::sasl::{Quality, SecurityContext, SecurityLayer};
use crate::testing::FakeContext;
use std::io::{self, Read, Write};

/// A metastore in memory. What it lies about is set before.
pub(super) struct Server {
    pub(super) context: FakeContext,
    pub(super) layer: Option<SecurityLayer<FakeContext>>,
    /// The layers that it offers.
    pub(super) mask: u8,
    /// Bytes to send in place of an answer, by the number of the message that they answer.
    pub(super) lies: Vec<(usize, Vec<u8>)>,
    /// The answers to calls.
    pub(super) answers: Vec<Vec<u8>>,
    pub(super) received: Vec<u8>,
    /// Messages of the client that were taken so far.
    pub(super) count: usize,
    /// Calls, unwrapped.
    pub(super) calls: Vec<Vec<u8>>,
    pub(super) out: io::Cursor<Vec<u8>>,
}

impl Server {
    /// One that offers these layers.
    pub(super) fn offering(mask: u8) -> Self {
        Self {
            context: FakeContext::server(),
            layer: None,
            mask,
            lies: Vec::new(),
            answers: Vec::new(),
            received: Vec::new(),
            count: 0,
            calls: Vec::new(),
            out: io::Cursor::new(Vec::new()),
        }
    }

    fn push(&mut self, status: &[u8], message: &[u8]) {
        self.out.get_mut().extend([status, &with_length(message).unwrap()].concat());
    }

    /// Takes whole messages of what came.
    fn advance(&mut self) {
        loop {
            // Those of the login have a status in front.
            let head = usize::from(self.layer.is_none());
            let Some(length) = self.received.get(head..head + 4) else { return };
            let end = head + 4 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.received.len() < end {
                return;
            }
            let rest = self.received.split_off(end);
            let message = std::mem::replace(&mut self.received, rest);
            self.count += 1;
            match self.lies.iter().find(|(number, _)| *number == self.count).cloned() {
                Some((_, lie)) => self.out.get_mut().extend(lie),
                None if self.layer.is_some() => self.take_call(&message[4..]),
                None => self.take_login(message[0], &message[5..]),
            }
        }
    }

    fn take_login(&mut self, status: u8, message: &[u8]) {
        match (self.count, status) {
            (1, 1) => assert_eq!(message, b"GSSAPI"),
            (2, 2) => {
                let token = self.context.step(message).unwrap().token;
                self.push(&[2], &token);
            }
            (3, 2) => {
                assert_eq!(message, b"");
                let offer = self.context.wrap(&[self.mask, 1, 0, 0], false).unwrap();
                self.push(&[2], &offer);
            }
            (4, 5) => {
                let choice = self.context.unwrap(message).unwrap().message;
                let quality = Quality::ALL[choice[0].trailing_zeros() as usize];
                let context = std::mem::replace(&mut self.context, FakeContext::server());
                self.layer = Some(SecurityLayer::testing(context, quality));
                self.push(&[5], b"");
            }
            other => panic!("{other:?}"),
        }
    }

    fn take_call(&mut self, message: &[u8]) {
        let layer = self.layer.as_mut().unwrap();
        self.calls.push(layer.open(message).unwrap());
        if self.answers.is_empty() {
            return;
        }
        let answer = layer.protect(&self.answers.remove(0)).unwrap();
        self.push(b"", &answer);
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
