//! What is inside a token's identifier: owner, renewer and dates. Servers sign it, so clients can read it and not change it.
//!
//! HDFS, KMS and Hive write it as a `Writable`
//! (`org.apache.hadoop.security.token.delegation.AbstractDelegationTokenIdentifier`), YARN as a message
//! (`yarn_security_token.proto`), HBase as another one behind four bytes (`Authentication.proto`). The expiry of the
//! first two is not in it: only renewing tells it.

use crate::writable::{WritableError, WritableReader};
use prost::Message;

/// Why an identifier can't be read. None of its bytes is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// It is no `Writable` of this form.
    #[error("the token's identifier cannot be read: {0}")]
    Writable(#[from] WritableError),
    /// It has another version than 0.
    #[error("the token's identifier has version {0}, which is not known")]
    Version(u8),
    /// It is no message of this form.
    #[error("the token's identifier is not a Protocol Buffers message of its kind")]
    Message,
}

/// The identifier of a token of HDFS, KMS, Hive or YARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIdentifier {
    /// The user that the token works for: a full principal, or a short name from WebHDFS.
    pub owner: String,
    /// The short name of the user who may renew it.
    pub renewer: String,
    /// For a proxy user: the user who obtained it. Else empty, or as `owner`.
    pub real_user: String,
    /// When it was issued, in milliseconds since 1970.
    pub issue_date: u64,
    /// Until when it can be renewed, in milliseconds since 1970.
    pub max_date: u64,
    /// Its number.
    pub sequence_number: i32,
    /// The number of the key that signed it.
    pub master_key_id: i32,
}

impl TokenIdentifier {
    /// Reads that of HDFS (also through WebHDFS), KMS and Hive.
    ///
    /// # Errors
    /// If it is none.
    pub fn read_writable(bytes: &[u8]) -> Result<Self, IdentifierError> {
        let mut reader = WritableReader::new(bytes);
        let version = reader.byte()?;
        if version != 0 {
            return Err(IdentifierError::Version(version));
        }
        let identifier = Self {
            owner: reader.text()?.to_owned(),
            renewer: reader.text()?.to_owned(),
            real_user: reader.text()?.to_owned(),
            issue_date: reader.unsigned()?,
            max_date: reader.unsigned()?,
            sequence_number: reader.int()?,
            master_key_id: reader.int()?,
        };
        reader.finish()?;
        Ok(identifier)
    }

    /// Reads that of YARN's ResourceManager.
    ///
    /// # Errors
    /// If it is none.
    pub fn read_yarn(bytes: &[u8]) -> Result<Self, IdentifierError> {
        let message = YarnIdentifier::decode(bytes).map_err(|_| IdentifierError::Message)?;
        Ok(Self {
            owner: message.owner,
            renewer: message.renewer,
            real_user: message.real_user,
            issue_date: date(message.issue_date)?,
            max_date: date(message.max_date)?,
            sequence_number: message.sequence_number,
            master_key_id: message.master_key_id,
        })
    }
}

/// The identifier of a token of HBase: it names no renewer, since the token cannot be renewed, and tells its expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HBaseTokenIdentifier {
    /// The user that the token works for: a full principal, or the short name of a proxied user.
    pub owner: String,
    /// Until when it works, in milliseconds since 1970.
    pub expiry: u64,
    /// Its number.
    pub sequence_number: i64,
}

impl HBaseTokenIdentifier {
    /// Reads it: a message with its length in front, in four bytes.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, IdentifierError> {
        let (length, message) = bytes.split_first_chunk::<4>().ok_or(IdentifierError::Message)?;
        if usize::try_from(u32::from_be_bytes(*length)) != Ok(message.len()) {
            return Err(IdentifierError::Message);
        }
        let message = HBaseIdentifier::decode(message).map_err(|_| IdentifierError::Message)?;
        let expiry = date(message.expiration_date)?;
        Ok(Self { owner: message.user, expiry, sequence_number: message.sequence_number })
    }
}

fn date(millis: i64) -> Result<u64, IdentifierError> {
    u64::try_from(millis).map_err(|_| IdentifierError::Writable(WritableError::OutOfRange))
}

/// `YARNDelegationTokenIdentifierProto`.
#[derive(Clone, PartialEq, Message)]
struct YarnIdentifier {
    #[prost(string, tag = "1")]
    owner: String,
    #[prost(string, tag = "2")]
    renewer: String,
    #[prost(string, tag = "3")]
    real_user: String,
    #[prost(int64, tag = "4")]
    issue_date: i64,
    #[prost(int64, tag = "5")]
    max_date: i64,
    #[prost(int32, tag = "6")]
    sequence_number: i32,
    #[prost(int32, tag = "7")]
    master_key_id: i32,
}

/// `TokenIdentifier` of HBase.
#[derive(Clone, PartialEq, Eq, Message)]
struct HBaseIdentifier {
    #[prost(string, tag = "2")]
    user: String,
    #[prost(int64, tag = "5")]
    expiration_date: i64,
    #[prost(int64, tag = "6")]
    sequence_number: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{unhex, vector};

    fn alice() -> TokenIdentifier {
        TokenIdentifier {
            owner: "alice@EXAMPLE.COM".to_owned(),
            renewer: "yarn".to_owned(),
            real_user: String::new(),
            issue_date: 1_700_000_000_000,
            max_date: 1_700_604_800_000,
            sequence_number: 7,
            master_key_id: 200,
        }
    }

    #[test]
    fn identifier_of_hdfs_is_read() {
        assert_eq!(TokenIdentifier::read_writable(&unhex(vector("hdfs-identifier"))), Ok(alice()));
        let proxied = TokenIdentifier {
            owner: "bob".to_owned(),
            renewer: "alice".to_owned(),
            real_user: "alice@EXAMPLE.COM".to_owned(),
            ..alice()
        };
        assert_eq!(TokenIdentifier::read_writable(&unhex(vector("hdfs-identifier-proxy"))), Ok(proxied));
    }

    #[test]
    fn identifier_of_yarn_is_read() {
        assert_eq!(TokenIdentifier::read_yarn(&unhex(vector("yarn-identifier"))), Ok(alice()));
    }

    #[test]
    fn identifier_that_is_cut_or_longer_is_refused() {
        let whole = unhex(vector("hdfs-identifier"));
        for end in 0..whole.len() {
            assert!(TokenIdentifier::read_writable(&whole[..end]).is_err(), "{end}");
        }
        let longer = [whole.as_slice(), b"\0"].concat();
        let error = TokenIdentifier::read_writable(&longer).unwrap_err();
        assert_eq!(error, IdentifierError::Writable(WritableError::TooLong));
        assert_eq!(TokenIdentifier::read_writable(b"\x01").unwrap_err(), IdentifierError::Version(1));
    }

    #[test]
    fn identifier_with_a_date_before_1970_is_refused() {
        let mut bytes = b"\0\0\0\0".to_vec();
        bytes.extend([0xff, 0, 0, 0]);
        let error = TokenIdentifier::read_writable(&bytes).unwrap_err();
        assert_eq!(error, IdentifierError::Writable(WritableError::OutOfRange));
        let message = YarnIdentifier { max_date: -1, ..YarnIdentifier::default() };
        assert!(TokenIdentifier::read_yarn(&message.encode_to_vec()).is_err());
        assert_eq!(TokenIdentifier::read_yarn(b"\x0a\xff"), Err(IdentifierError::Message));
    }

    #[test]
    fn identifier_of_hbase_is_read() {
        let bytes = unhex(vector("hbase-identifier"));
        let owner = "alice@EXAMPLE.COM".to_owned();
        let expected = HBaseTokenIdentifier { owner, expiry: 1_700_604_800_000, sequence_number: 0 };
        assert_eq!(HBaseTokenIdentifier::read(&bytes), Ok(expected));
        for end in 0..bytes.len() {
            assert!(HBaseTokenIdentifier::read(&bytes[..end]).is_err(), "{end}");
        }
        let longer = [bytes.as_slice(), b"\0"].concat();
        assert_eq!(HBaseTokenIdentifier::read(&longer), Err(IdentifierError::Message));
        let past = HBaseIdentifier { expiration_date: -1, ..HBaseIdentifier::default() }.encode_to_vec();
        assert!(HBaseTokenIdentifier::read(&crate::frames::with_length(&past).unwrap()).is_err());
    }
}
