//! One delegation token: what the server gave, and under which name clients look for it.
//!
//! Source: `org.apache.hadoop.security.token.Token`.

use crate::writable::{WritableError, WritableReader, put_bytes};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::fmt;

/// As `Token.encodeToUrlString` writes it. Some servers pad.
const URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A delegation token of one of Hadoop's services.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HadoopToken {
    /// What the token says about itself: see [`crate::identifier`]. With the password it is a credential.
    pub identifier: Vec<u8>,
    /// The server's signature of the identifier: the secret half.
    pub password: Vec<u8>,
    /// The kind, such as `HDFS_DELEGATION_TOKEN`, by which clients know whose token it is.
    pub kind: String,
    /// The name by which clients select it among tokens of its kind: `10.0.0.1:8020`, `ha-hdfs:prod`.
    pub service: String,
}

/// Why a text is not a token. None of it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has other characters than base64's.
    #[error("the token is not URL-safe base64")]
    Base64,
    /// It holds something else.
    #[error("the token cannot be read: {0}")]
    Writable(#[from] WritableError),
    /// It holds no identifier or no password, so that no server accepts it.
    #[error("the token has no identifier or no password")]
    Empty,
}

impl HadoopToken {
    /// Reads the text of `Token.encodeToUrlString`, which WebHDFS and Hive's metastore return.
    ///
    /// # Errors
    /// If it is none, or a token without identifier or password.
    pub fn from_url_string(text: &str) -> Result<Self, TokenError> {
        let bytes = URL.decode(text).map_err(|_| TokenError::Base64)?;
        let mut reader = WritableReader::new(&bytes);
        let token = Self::read(&mut reader)?;
        reader.finish()?;
        if token.is_empty() { Err(TokenError::Empty) } else { Ok(token) }
    }

    /// The text of `Token.encodeToUrlString`: URL-safe base64 without padding.
    #[must_use]
    pub fn to_url_string(&self) -> String {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        URL.encode(bytes)
    }

    /// Whether identifier or password is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.identifier.is_empty() || self.password.is_empty()
    }

    /// Reads a token where a `Writable` holds one.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(reader: &mut WritableReader<'_>) -> Result<Self, WritableError> {
        Ok(Self {
            identifier: reader.bytes()?.to_owned(),
            password: reader.bytes()?.to_owned(),
            kind: reader.text()?.to_owned(),
            service: reader.text()?.to_owned(),
        })
    }

    /// Appends the token as a `Writable`.
    pub fn put(&self, out: &mut Vec<u8>) {
        for part in [&self.identifier, &self.password, self.kind.as_bytes(), self.service.as_bytes()] {
            put_bytes(out, part);
        }
    }
}

/// Without what makes it a credential.
impl fmt::Debug for HadoopToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HadoopToken").field("kind", &self.kind).field("service", &self.service).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{sample_token, vector};

    #[test]
    fn token_url_string_is_that_of_hadoop() {
        let token = HadoopToken { service: "127.0.0.1:8020".to_owned(), ..sample_token() };
        let text = vector("token-url");
        assert_eq!(token.to_url_string(), text);
        assert_eq!(HadoopToken::from_url_string(text), Ok(token.clone()));
        assert_eq!(HadoopToken::from_url_string(&format!("{text}==")), Ok(token));
    }

    #[test]
    fn token_text_that_is_none_is_refused() {
        let text = vector("token-url");
        let cut = text.get(..text.len() - 2).unwrap();
        for (text, error) in [
            ("", TokenError::Writable(WritableError::Truncated)),
            ("no token", TokenError::Base64),
            ("a+b/", TokenError::Base64),
            (cut, TokenError::Writable(WritableError::Truncated)),
            (&format!("{text}AA"), TokenError::Writable(WritableError::TooLong)),
            ("AAAAAA", TokenError::Empty),
            ("AQEAAAA", TokenError::Empty),
            ("AAAAAAA", TokenError::Writable(WritableError::TooLong)),
            // A length of 2 GiB - 1, and one of -1.
            ("jH____8", TokenError::Writable(WritableError::Truncated)),
            ("_w", TokenError::Writable(WritableError::OutOfRange)),
        ] {
            assert_eq!(HadoopToken::from_url_string(text), Err(error), "{text}");
        }
    }

    #[test]
    fn token_debug_text_has_no_secret() {
        let shown = format!("{:?}", sample_token());
        assert_eq!(shown, "HadoopToken { kind: \"HDFS_DELEGATION_TOKEN\", service: \"\", .. }");
    }
}
