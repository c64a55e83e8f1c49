//! The file that Hadoop's clients read their tokens from (`HADOOP_TOKEN_FILE_LOCATION`).
//!
//! `HDTS`, one byte for the version, then tokens and secret keys, each under an alias. Version 0 is a `Writable`, which
//! every client reads; version 1 is one message (`CredentialsProto` in Hadoop's `Security.proto`), which clients
//! since 2.9 and 3.0 read as well. Source: `org.apache.hadoop.security.Credentials`.

use crate::token::HadoopToken;
use crate::writable::{WritableError, WritableReader, put_bytes, put_long};
use prost::Message;

/// What each file begins with.
const MAGIC: &[u8] = b"HDTS";

/// The largest file that is read, in bytes. A token takes some 300. Reading the most hostile file of this size, an entry
/// in every two bytes of version 1, takes 30 MB of memory.
pub const MAX_FILE: usize = 256 * 1024;

/// The most tokens, and the most secret keys, of a file.
pub const MAX_ENTRIES: usize = 1000;

/// The two encodings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileVersion {
    /// Version 0, which Hadoop writes by default.
    #[default]
    Writable,
    /// Version 1.
    Protobuf,
}

/// Why bytes are not a token file. None of them is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HadoopTokenFileError {
    /// It does not begin as one.
    #[error("not a token file of Hadoop: it does not begin with HDTS")]
    Magic,
    /// It has a version other than 0 and 1.
    #[error("a token file of version {0}, and only 0 and 1 are known")]
    Version(u8),
    /// It is longer than [`MAX_FILE`], or has more than [`MAX_ENTRIES`].
    #[error("a token file with more than {MAX_FILE} bytes or {MAX_ENTRIES} entries")]
    TooLarge,
    /// Version 0 ends early, or is wrong otherwise.
    #[error("the token file cannot be read: {0}")]
    Writable(#[from] WritableError),
    /// Version 1 is no such message.
    #[error("the token file cannot be read: it is not the message of version 1")]
    Message,
}

/// The contents of a token file, in the order of the file. It can't be printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HadoopTokenFile {
    tokens: Vec<(String, HadoopToken)>,
    secrets: Vec<(String, Vec<u8>)>,
}

impl HadoopTokenFile {
    /// The file of one token. Its alias is the name by which clients look for it, which is mostly the token's service.
    #[must_use]
    pub fn single(alias: &str, token: HadoopToken) -> Self {
        Self { tokens: vec![(alias.to_owned(), token)], secrets: Vec::new() }
    }

    /// The token of a file that has one token and no secret key.
    #[must_use]
    pub fn into_single(mut self) -> Option<HadoopToken> {
        let (_, token) = self.tokens.pop()?;
        (self.tokens.is_empty() && self.secrets.is_empty()).then_some(token)
    }

    /// The tokens with their aliases. No alias is listed twice.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, &HadoopToken)> {
        self.tokens.iter().map(|(alias, token)| (alias.as_str(), token))
    }

    /// The secret keys with their aliases. No alias is listed twice.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.secrets.iter().map(|(alias, secret)| (alias.as_str(), secret.as_slice()))
    }

    /// Adds a token. It replaces one of the same alias, as `Credentials.addToken` does.
    pub fn put_token(&mut self, alias: &str, token: HadoopToken) {
        put(&mut self.tokens, alias, token);
    }

    /// Adds a secret key. It replaces one of the same alias.
    pub fn put_secret(&mut self, alias: &str, secret: Vec<u8>) {
        put(&mut self.secrets, alias, secret);
    }

    /// Reads a file of either version.
    ///
    /// # Errors
    /// If it is none, or a larger one than is ever needed.
    pub fn parse(bytes: &[u8]) -> Result<Self, HadoopTokenFileError> {
        if bytes.len() > MAX_FILE {
            return Err(HadoopTokenFileError::TooLarge);
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or(HadoopTokenFileError::Magic)?;
        match rest.split_first() {
            Some((0, rest)) => Self::read_writable(rest),
            Some((1, rest)) => Self::read_message(rest),
            Some((version, _)) => Err(HadoopTokenFileError::Version(*version)),
            None => Err(HadoopTokenFileError::Writable(WritableError::Truncated)),
        }
    }

    /// The file in the given version.
    #[must_use]
    pub fn to_bytes(&self, version: FileVersion) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        match version {
            FileVersion::Writable => {
                out.push(0);
                self.put_writable(&mut out);
            }
            FileVersion::Protobuf => {
                out.push(1);
                out.extend(self.message().encode_length_delimited_to_vec());
            }
        }
        out
    }

    fn read_writable(bytes: &[u8]) -> Result<Self, HadoopTokenFileError> {
        let mut file = Self::default();
        let mut reader = WritableReader::new(bytes);
        for _ in 0..count(&mut reader)? {
            let alias = reader.text()?;
            file.put_token(alias, HadoopToken::read(&mut reader)?);
        }
        for _ in 0..count(&mut reader)? {
            let alias = reader.text()?;
            file.put_secret(alias, reader.bytes()?.to_owned());
        }
        reader.finish()?;
        Ok(file)
    }

    fn put_writable(&self, out: &mut Vec<u8>) {
        put_long(out, i64::try_from(self.tokens.len()).unwrap_or(i64::MAX));
        for (alias, token) in &self.tokens {
            put_bytes(out, alias.as_bytes());
            token.put(out);
        }
        put_long(out, i64::try_from(self.secrets.len()).unwrap_or(i64::MAX));
        for (alias, secret) in &self.secrets {
            put_bytes(out, alias.as_bytes());
            put_bytes(out, secret);
        }
    }

    fn read_message(mut bytes: &[u8]) -> Result<Self, HadoopTokenFileError> {
        let message =
            CredentialsMessage::decode_length_delimited(&mut bytes).map_err(|_| HadoopTokenFileError::Message)?;
        if !bytes.is_empty() {
            return Err(HadoopTokenFileError::Writable(WritableError::TooLong));
        }
        if message.tokens.len().max(message.secrets.len()) > MAX_ENTRIES {
            return Err(HadoopTokenFileError::TooLarge);
        }
        let mut file = Self::default();
        for entry in message.tokens {
            file.put_token(&entry.alias, entry.token.ok_or(HadoopTokenFileError::Message)?.into());
        }
        for entry in message.secrets {
            file.put_secret(&entry.alias, entry.secret.ok_or(HadoopTokenFileError::Message)?);
        }
        Ok(file)
    }

    fn message(&self) -> CredentialsMessage {
        let tokens = self.tokens.iter().map(|(alias, token)| Entry {
            alias: alias.clone(),
            token: Some(token.clone().into()),
            secret: None,
        });
        let secrets = self.secrets.iter().map(|(alias, secret)| Entry {
            alias: alias.clone(),
            token: None,
            secret: Some(secret.clone()),
        });
        CredentialsMessage { tokens: tokens.collect(), secrets: secrets.collect() }
    }
}

fn put<V>(entries: &mut Vec<(String, V)>, alias: &str, value: V) {
    match entries.iter_mut().find(|(known, _)| known == alias) {
        Some((_, known)) => *known = value,
        None => entries.push((alias.to_owned(), value)),
    }
}

/// How many entries follow. An entry of a file takes a byte at the least, so a count that lies ends the reading early.
fn count(reader: &mut WritableReader<'_>) -> Result<usize, HadoopTokenFileError> {
    let count = usize::try_from(reader.int()?).map_err(|_| WritableError::OutOfRange)?;
    if count > MAX_ENTRIES { Err(HadoopTokenFileError::TooLarge) } else { Ok(count) }
}

/// `CredentialsProto`.
#[derive(Clone, PartialEq, Message)]
struct CredentialsMessage {
    #[prost(message, repeated, tag = "1")]
    tokens: Vec<Entry>,
    #[prost(message, repeated, tag = "2")]
    secrets: Vec<Entry>,
}

/// `CredentialsKVProto`: a token or a secret key.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, required, tag = "1")]
    alias: String,
    #[prost(message, optional, tag = "2")]
    token: Option<TokenMessage>,
    #[prost(bytes = "vec", optional, tag = "3")]
    secret: Option<Vec<u8>>,
}

/// `TokenProto`, which Hadoop RPC sends as well.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TokenMessage {
    #[prost(bytes = "vec", required, tag = "1")]
    identifier: Vec<u8>,
    #[prost(bytes = "vec", required, tag = "2")]
    password: Vec<u8>,
    #[prost(string, required, tag = "3")]
    kind: String,
    #[prost(string, required, tag = "4")]
    service: String,
}

impl From<HadoopToken> for TokenMessage {
    fn from(token: HadoopToken) -> Self {
        let HadoopToken { identifier, password, kind, service } = token;
        Self { identifier, password, kind, service }
    }
}

impl From<TokenMessage> for HadoopToken {
    fn from(message: TokenMessage) -> Self {
        let TokenMessage { identifier, password, kind, service } = message;
        Self { identifier, password, kind, service }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, sample_token, unhex, vector};

    fn sample(with_secret: bool) -> HadoopTokenFile {
        let mut file = HadoopTokenFile::default();
        file.put_token("alias", HadoopToken { service: "127.0.0.1:8020".to_owned(), ..sample_token() });
        if with_secret {
            file.put_secret("k", b"v".to_vec());
        }
        file
    }

    #[test]
    fn token_file_is_that_of_hadoop() {
        for (name, file) in
            [("empty", HadoopTokenFile::default()), ("token", sample(false)), ("token-and-secret", sample(true))]
        {
            for (suffix, version) in [("v0", FileVersion::Writable), ("v1", FileVersion::Protobuf)] {
                let expected = vector(&format!("file-{name}-{suffix}"));
                assert_eq!(hex(&file.to_bytes(version)), expected, "{name} {suffix}");
                assert!(HadoopTokenFile::parse(&unhex(expected)) == Ok(file.clone()), "{name} {suffix}");
            }
        }
    }

    #[test]
    fn token_file_keeps_the_last_entry_of_an_alias() {
        let mut file = sample(true);
        file.put_token("alias", HadoopToken { kind: "kms-dt".to_owned(), ..sample_token() });
        file.put_secret("k", b"w".to_vec());
        assert_eq!(
            file.tokens().map(|(alias, token)| (alias, token.kind.as_str())).collect::<Vec<_>>(),
            [("alias", "kms-dt")]
        );
        assert_eq!(file.secrets().collect::<Vec<_>>(), [("k", b"w".as_slice())]);
    }

    #[test]
    fn token_file_that_ends_early_or_late_is_refused() {
        for version in [FileVersion::Writable, FileVersion::Protobuf] {
            let whole = sample(true).to_bytes(version);
            for end in 0..whole.len() {
                assert!(HadoopTokenFile::parse(&whole[..end]).is_err(), "{version:?} {end}");
            }
            let longer = [whole.as_slice(), b"\0"].concat();
            assert!(
                HadoopTokenFile::parse(&longer) == Err(HadoopTokenFileError::Writable(WritableError::TooLong)),
                "{version:?}"
            );
        }
    }

    #[test]
    fn token_file_with_lies_is_refused() {
        let mut two_gib = b"HDTS\0\x01".to_vec();
        put_long(&mut two_gib, i64::from(i32::MAX));
        let mut many = b"HDTS\0".to_vec();
        put_long(&mut many, 1001);
        let mut nested = b"HDTS\x01".to_vec();
        nested.extend([0x02, 0x0a, 0x7f]);
        for (bytes, error) in [
            (b"".as_slice(), HadoopTokenFileError::Magic),
            (b"HDTX\0\0\0", HadoopTokenFileError::Magic),
            (b"HDTS\x02", HadoopTokenFileError::Version(2)),
            (b"HDTS\0\xff", HadoopTokenFileError::Writable(WritableError::OutOfRange)),
            (&two_gib, HadoopTokenFileError::Writable(WritableError::Truncated)),
            (&many, HadoopTokenFileError::TooLarge),
            (&nested, HadoopTokenFileError::Message),
            (&vec![b'H'; MAX_FILE + 1], HadoopTokenFileError::TooLarge),
        ] {
            assert!(HadoopTokenFile::parse(bytes).err() == Some(error), "{error}");
        }
    }

    #[test]
    fn token_file_with_an_entry_for_each_byte_is_refused() {
        // Two bytes make an entry of a hundred: the count bounds what a file costs.
        let entries = b"\x0a\x00".repeat(MAX_ENTRIES + 1);
        let mut bytes = b"HDTS\x01".to_vec();
        prost::encode_length_delimiter(entries.len(), &mut bytes).unwrap();
        bytes.extend(entries);
        assert!(HadoopTokenFile::parse(&bytes) == Err(HadoopTokenFileError::TooLarge));
    }
}
