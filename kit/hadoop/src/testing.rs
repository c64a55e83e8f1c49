//! What the tests share: Hadoop's own vectors, and a security context that follows the rules without a KDC.

use crate::sasl::{ContextError, ContextStep, OpenedMessage, SecurityContext};
use crate::token::HadoopToken;

const VECTORS: &str = concat!(
    include_str!("../vectors/hadoop.txt"),
    include_str!("../vectors/hbase.txt"),
    include_str!("../vectors/hive.txt")
);

/// The lines of the vectors with this name: the words behind it.
pub(crate) fn vectors(name: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    VECTORS.lines().filter_map(move |line| line.strip_prefix(name)?.trim_start().split_once(' '))
}

/// The vector of this name.
pub(crate) fn vector(name: &str) -> &'static str {
    let mut found = VECTORS.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.next().unwrap_or_else(|| panic!("no vector {name}"))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    deputy_kit::encode::hex(bytes)
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The token of the vectors.
pub(crate) fn sample_token() -> HadoopToken {
    HadoopToken {
        identifier: unhex(vector("hdfs-identifier")),
        password: vec![1, 2, 3, 4],
        kind: "HDFS_DELEGATION_TOKEN".to_owned(),
        service: String::new(),
    }
}

/// One side of a security context. Its tokens have what those of Kerberos have: the sender, a flag for encryption, a number
/// that grows, and a sum.
#[derive(Debug)]
pub(crate) struct FakeContext {
    is_client: bool,
    established: bool,
    steps: u32,
    sent: u8,
    received: u8,
}

impl FakeContext {
    pub(crate) fn client() -> Self {
        Self { is_client: true, established: false, steps: 0, sent: 0, received: 0 }
    }

    pub(crate) fn server() -> Self {
        Self { is_client: false, ..Self::client() }
    }

    fn established(&self) -> Result<(), ContextError> {
        if self.established { Ok(()) } else { Err(ContextError::WrongState) }
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(7, |sum: u8, byte| sum.rotate_left(1) ^ byte)
}

impl SecurityContext for FakeContext {
    fn step(&mut self, token: &[u8]) -> Result<ContextStep, ContextError> {
        self.steps += 1;
        let (expected, answer, established): (&[u8], &[u8], bool) = match (self.is_client, self.steps) {
            (true, 1) => (b"", b"ap-req", false),
            (true, 2) => (b"ap-rep", b"", true),
            (false, 1) => (b"ap-req", b"ap-rep", true),
            _ => return Err(ContextError::WrongState),
        };
        if token != expected {
            return Err(ContextError::BadToken("not the token that was expected".to_owned()));
        }
        self.established = established;
        Ok(ContextStep { token: answer.to_owned(), established })
    }

    fn wrap(&mut self, message: &[u8], confidential: bool) -> Result<Vec<u8>, ContextError> {
        self.established()?;
        let mut token = vec![u8::from(self.is_client), u8::from(confidential), self.sent];
        token.extend(message.iter().map(|byte| if confidential { !byte } else { *byte }));
        token.push(sum(&token));
        self.sent += 1;
        Ok(token)
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<OpenedMessage, ContextError> {
        self.established()?;
        let bad = || ContextError::BadToken("forged, replayed or out of order".to_owned());
        let (check, signed) = token.split_last().ok_or_else(bad)?;
        let [sender, sealed, number, message @ ..] = signed else { return Err(bad()) };
        if *check != sum(signed) || *sender == u8::from(self.is_client) || *number != self.received {
            return Err(bad());
        }
        self.received += 1;
        let sealed = *sealed == 1;
        Ok(OpenedMessage { message: message.iter().map(|byte| if sealed { !byte } else { *byte }).collect(), sealed })
    }
}
