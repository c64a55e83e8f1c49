//! The saved form of an instance's state: a [head](framing) in JSON that says whose it is, and the value behind it.

use std::sync::Arc;

use deputy_core::{SecretBytes, StateIdentity};
use deputy_store::framing;
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StateRecordError {
    #[error("the record has format {0}, which only a newer version of deputy can read")]
    Format(u32),
    #[error("it is not a record of state")]
    Malformed,
    #[error("it is not the state of a whole instance, which only a newer version of deputy can read")]
    Subject,
}

impl StateRecordError {
    /// Whether a newer version can read it, so that this one must not overwrite it.
    pub(crate) fn is_newer(self) -> bool {
        matches!(self, Self::Format(_) | Self::Subject)
    }
}

/// A value, and whose it is.
#[derive(Debug)]
pub(crate) struct StateRecord {
    pub(crate) owner: StateIdentity,
    pub(crate) value: Arc<SecretBytes>,
}

#[derive(Deserialize)]
struct RecordFormat {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct RecordHead {
    format: u32,
    owner: String,
    value: usize,
    /// Reserved: whom within the instance the state is for. Empty: the instance.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    subject: String,
}

pub(crate) fn encode(owner: StateIdentity, value: &SecretBytes) -> Result<SecretBytes, serde_json::Error> {
    let head = RecordHead { format: FORMAT, owner: owner.to_string(), value: value.len(), subject: String::new() };
    Ok(framing::join(&serde_json::to_vec(&head)?, std::iter::once(value)))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<StateRecord, StateRecordError> {
    let (head, mut values) = framing::split(bytes).ok_or(StateRecordError::Malformed)?;
    let RecordFormat { format } = serde_json::from_slice(head).map_err(|_| StateRecordError::Malformed)?;
    if format != FORMAT {
        return Err(StateRecordError::Format(format));
    }
    let head: RecordHead = serde_json::from_slice(head).map_err(|_| StateRecordError::Malformed)?;
    if !head.subject.is_empty() {
        return Err(StateRecordError::Subject);
    }
    let owner = head.owner.parse().map_err(|_| StateRecordError::Malformed)?;
    let value = framing::take(&mut values, head.value).ok_or(StateRecordError::Malformed)?;
    if !values.is_empty() {
        return Err(StateRecordError::Malformed);
    }
    Ok(StateRecord { owner, value: Arc::new(value) })
}

#[cfg(test)]
mod tests {
    use deputy_core::Digest;

    use super::*;

    fn record() -> Vec<u8> {
        let owner = StateIdentity::new(Digest::new([7; 32]));
        encode(owner, &SecretBytes::new(b"refresh".to_vec())).unwrap().expose().to_vec()
    }

    fn with_head(head: &str) -> Vec<u8> {
        [&u32::try_from(head.len()).unwrap().to_be_bytes()[..], head.as_bytes()].concat()
    }

    #[test]
    fn state_record_survives_the_round_trip() {
        let read = decode(&record()).unwrap();
        assert_eq!((read.owner.to_string(), read.value.expose()), ("07".repeat(32), &b"refresh"[..]));
        assert!(!format!("{read:?}").contains("refresh"));
    }

    #[test]
    fn state_record_that_is_cut_or_extended_is_refused() {
        let bytes = record();
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]).unwrap_err(), StateRecordError::Malformed, "{end} bytes");
        }
        assert!(decode(&[bytes, b"x".to_vec()].concat()).is_err());
    }

    #[test]
    fn state_record_of_a_later_version_is_recognised() {
        let later = decode(&with_head(r#"{"format":2,"something":"else"}"#)).unwrap_err();
        assert_eq!((later, later.is_newer()), (StateRecordError::Format(2), true));
        let head = format!(r#"{{"format":1,"owner":"{}","value":0,"subject":"worker-1"}}"#, "07".repeat(32));
        let of_one = decode(&with_head(&head)).unwrap_err();
        assert_eq!((of_one, of_one.is_newer()), (StateRecordError::Subject, true));
    }
}
