//! A server of Hadoop RPC in memory, for the tests of the kit.

use super::login;
use super::messages::{CALL_SASL, RequestHeader, ResponseHeader, SaslAuth, SaslMessage, state};
use crate::frames::{split_delimited, with_length};
use crate::sasl::{Quality, SecurityContext, SecurityLayer};
use crate::testing::FakeContext;
use crate::token::HadoopToken;
use prost::Message;
use std::io::{self, Read, Write};

/// A server of Hadoop RPC in memory. What it lies about is set before.
pub(crate) struct Server {
    context: FakeContext,
    pub(super) layer: Option<SecurityLayer<FakeContext>>,
    /// The layers that it offers.
    pub(super) mask: u8,
    /// Its answer to NEGOTIATE.
    pub(super) negotiation: SaslMessage,
    /// Frames to send in place of the answers of the login, by the number of the message that they answer.
    pub(super) lies: Vec<(usize, Vec<u8>)>,
    /// The answers to calls.
    pub(crate) answers: Vec<Vec<u8>>,
    /// The length of the pieces in which a wrapped answer comes.
    pub(super) piece: usize,
    received: Vec<u8>,
    /// Frames of the client that were taken so far.
    count: usize,
    /// Frames after the login, unwrapped.
    pub(super) calls: Vec<Vec<u8>>,
    out: io::Cursor<Vec<u8>>,
}

pub(super) fn kerberos(host: &str) -> SaslAuth {
    SaslAuth {
        method: "KERBEROS".to_owned(),
        mechanism: "GSSAPI".to_owned(),
        protocol: Some("hdfs".to_owned()),
        server_id: Some(host.to_owned()),
    }
}

pub(super) fn token_login() -> SaslAuth {
    SaslAuth { method: "TOKEN".to_owned(), mechanism: "DIGEST-MD5".to_owned(), ..kerberos("default") }
}

impl Server {
    pub(crate) fn new() -> Self {
        let negotiation =
            SaslMessage { state: state::NEGOTIATE, token: None, auths: vec![token_login(), kerberos("nn1")] };
        Self {
            context: FakeContext::server(),
            layer: None,
            mask: 1,
            negotiation,
            lies: Vec::new(),
            answers: Vec::new(),
            piece: usize::MAX,
            received: Vec::new(),
            count: 0,
            calls: Vec::new(),
            out: io::Cursor::new(Vec::new()),
        }
    }

    /// A server that offers these layers.
    pub(super) fn offering(mask: u8) -> Self {
        Self { mask, ..Self::new() }
    }

    pub(super) fn push(&mut self, frame: &[u8]) {
        self.out.get_mut().extend(with_length(frame).unwrap());
    }

    fn push_sasl(&mut self, message: &SaslMessage) {
        self.push(&[success(CALL_SASL), message.encode_length_delimited_to_vec()].concat());
    }

    pub(super) fn push_token(&mut self, state: i32, token: Vec<u8>) {
        self.push_sasl(&SaslMessage { state, token: Some(token), auths: Vec::new() });
    }

    /// Takes whole frames of what came.
    fn advance(&mut self) {
        if self.count == 0 && self.received.starts_with(b"hrpc\x09\0\xdf") {
            self.received.drain(..7);
            self.count = 1;
        }
        while let Some(length) = self.received.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) as usize) {
            if self.count == 0 || self.received.len() < 4 + length {
                return;
            }
            let rest = self.received.split_off(4 + length);
            let frame = std::mem::replace(&mut self.received, rest).split_off(4);
            self.count += 1;
            match self.lies.iter().find(|(number, _)| *number == self.count - 1).cloned() {
                Some((_, lie)) => self.out.get_mut().extend(lie),
                None if self.layer.is_some() => self.take_call(frame),
                None => self.take_login(&frame),
            }
        }
    }

    fn take_login(&mut self, frame: &[u8]) {
        let (header, mut rest): (RequestHeader, _) = split(frame);
        assert_eq!((header.call_id, header.client_id.as_slice()), (CALL_SASL, b"".as_slice()));
        let message = SaslMessage::decode(split_delimited(&mut rest).unwrap()).unwrap();
        match (message.state, message.token.unwrap_or_default().as_slice()) {
            (state::NEGOTIATE, _) => self.push_sasl(&self.negotiation.clone()),
            (state::INITIATE, token) => {
                let answer = self.context.step(token).unwrap().token;
                self.push_token(state::CHALLENGE, answer);
            }
            (state::RESPONSE, b"") => {
                let offer = self.context.wrap(&[self.mask, 1, 0, 0], false).unwrap();
                self.push_token(state::CHALLENGE, offer);
            }
            (state::RESPONSE, token) => {
                let choice = self.context.unwrap(token).unwrap().message;
                let quality = Quality::ALL[choice[0].trailing_zeros() as usize];
                let context = std::mem::replace(&mut self.context, FakeContext::server());
                self.layer = Some(SecurityLayer::testing(context, quality));
                self.push_sasl(&SaslMessage { state: state::SUCCESS, ..SaslMessage::default() });
            }
            other => panic!("{other:?}"),
        }
    }

    fn take_call(&mut self, frame: Vec<u8>) {
        let layer = self.layer.as_mut().unwrap();
        let is_wrapped = layer.quality() != Quality::Authentication;
        let frame = if is_wrapped {
            let message = login::sasl_message_of_client(&frame);
            let plain = layer.open(&message.token.unwrap()).unwrap();
            assert_eq!(plain[..4], u32::try_from(plain.len() - 4).unwrap().to_be_bytes());
            plain[4..].to_vec()
        } else {
            frame
        };
        self.calls.push(frame);
        if self.calls.len() == 1 || self.answers.is_empty() {
            return;
        }
        let answer = self.answers.remove(0);
        if !is_wrapped {
            return self.push(&answer);
        }
        let bytes = with_length(&answer).unwrap();
        for piece in bytes.chunks(self.piece) {
            let token = self.layer.as_mut().unwrap().protect(piece).unwrap();
            self.push_token(state::WRAP, token);
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

pub(super) fn success(call_id: i32) -> Vec<u8> {
    ResponseHeader { call_id: call_id.cast_unsigned(), ..ResponseHeader::default() }.encode_length_delimited_to_vec()
}

/// The answer to a call that fails.
pub(crate) fn error_answer(call_id: i32, exception: &str, text: &str) -> Vec<u8> {
    let (exception, text) = (exception.to_owned(), text.to_owned());
    ResponseHeader { call_id: call_id.cast_unsigned(), status: 1, exception, text }.encode_length_delimited_to_vec()
}

pub(super) fn split<M: Message + Default>(mut frame: &[u8]) -> (M, &[u8]) {
    let header = M::decode(split_delimited(&mut frame).unwrap()).unwrap();
    (header, frame)
}

/// The answer to `renewDelegationToken`.
pub(crate) fn expiry_answer(call_id: i32, expiry: u64) -> Vec<u8> {
    let mut body = vec![0x08];
    prost::encoding::encode_varint(expiry, &mut body);
    [success(call_id), vec![u8::try_from(body.len()).unwrap()], body].concat()
}

/// The answer to `getDelegationToken`.
pub(crate) fn token_answer(call_id: i32, token: &HadoopToken) -> Vec<u8> {
    let token = crate::token_file::TokenMessage::from(token.clone()).encode_to_vec();
    let mut body = vec![0x0a];
    prost::encode_length_delimiter(token.len(), &mut body).unwrap();
    body.extend(token);
    let mut frame = success(call_id);
    prost::encode_length_delimiter(body.len(), &mut frame).unwrap();
    [frame, body].concat()
}
