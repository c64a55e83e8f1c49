//! The saved form of an instance's record, and of each lease that waits for revocation.
//!
//! The [head](framing) is JSON and describes everything but the payloads, which follow it. The instance's record names the
//! waiting leases, with the times of their revocation; each is saved under a key of its own, so that no number of them makes
//! a record too large to be written.

use std::sync::Arc;

use deputy_core::schedule::{ConfigFingerprint, Lease, LeaseOrigin, LeaseRecord, RetiredLease};
use deputy_core::{Digest, Fact, Revision, SecretBytes, Timestamp, TokenExpiry};
use deputy_store::framing;
use deputy_support::sha256;
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum LeaseRecordError {
    #[error("the record has format {0}, which only a newer version of deputy can read")]
    Format(u32),
    #[error("it is not a lease record")]
    Malformed,
    #[error("the lease is not for every worker of a group, which only a newer version of deputy can read")]
    Subject,
}

#[derive(Debug)]
pub(crate) struct DecodedRecord {
    pub(crate) record: LeaseRecord,
    /// The leases that wait for revocation and are saved under keys of their own.
    pub(crate) waiting: Vec<(Revision, Timestamp)>,
}

#[derive(Serialize, Deserialize)]
struct RecordHead {
    format: u32,
    revision: u64,
    lease: Option<LeaseHead>,
    /// Written by earlier versions, which saved waiting leases in this record.
    #[serde(default)]
    retired: Vec<RetiredHead>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<WaitingHead>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<[u8; 32]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passed: Option<[u8; 32]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
struct LeaseHead {
    revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    obtained_at: u64,
    issued_at: u64,
    #[serde(default)]
    stated: ExpiryHead,
    valid_until: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewable_until: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    facts: Vec<(String, String)>,
    origin: OriginHead,
    fingerprint: [u8; 16],
    payload: usize,
    /// The handle follows the payload.
    #[serde(default)]
    handle: usize,
    /// Reserved: whom within a group the lease is for. Empty: everybody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    subject: String,
}

/// Until when the service accepts the tokens, in its own words.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ExpiryHead {
    #[default]
    Unknown,
    Never,
    At(u64),
}

#[derive(Serialize, Deserialize)]
struct RetiredHead {
    lease: LeaseHead,
    revoke_at: u64,
}

#[derive(Serialize, Deserialize)]
struct WaitingHead {
    revision: u64,
    revoke_at: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OriginHead {
    Component,
    File,
}

/// Encodes a record without the leases that wait for revocation.
pub(crate) fn encode(record: &LeaseRecord) -> Result<SecretBytes, serde_json::Error> {
    let waiting = record
        .retired
        .iter()
        .map(|retired| WaitingHead { revision: retired.lease.revision.0, revoke_at: retired.revoke_at.as_millis() });
    let head = serde_json::to_vec(&RecordHead {
        format: FORMAT,
        revision: record.revision.0,
        lease: record.lease.as_ref().map(encode_lease),
        retired: Vec::new(),
        waiting: waiting.collect(),
        removed: record.removed.map(Timestamp::as_millis),
        file: record.file.map(|digest| *digest.as_bytes()),
        passed: record.passed.map(|digest| *digest.as_bytes()),
        revoked: record.revoked.map(|digest| *digest.as_bytes()),
    })?;
    Ok(framing::join(&head, record.lease.iter().flat_map(|lease| [&*lease.payload, &*lease.handle])))
}

/// Encodes a lease that waits for revocation.
pub(crate) fn encode_waiting(lease: &Lease) -> Result<SecretBytes, serde_json::Error> {
    encode(&LeaseRecord { revision: lease.revision, lease: Some(lease.clone()), ..LeaseRecord::default() })
}

pub(crate) fn decode(bytes: &[u8]) -> Result<DecodedRecord, LeaseRecordError> {
    let (head, mut payloads) = framing::split(bytes).ok_or(LeaseRecordError::Malformed)?;
    #[derive(Deserialize)]
    struct RecordFormat {
        format: u32,
    }
    let RecordFormat { format } = serde_json::from_slice(head).map_err(|_| LeaseRecordError::Malformed)?;
    if format != FORMAT {
        return Err(LeaseRecordError::Format(format));
    }
    let head: RecordHead = serde_json::from_slice(head).map_err(|_| LeaseRecordError::Malformed)?;
    let lease = head.lease.map(|head| decode_lease(head, &mut payloads)).transpose()?;
    let mut retired = Vec::new();
    for head in head.retired {
        let revoke_at = Timestamp::from_millis(head.revoke_at);
        retired.push(RetiredLease { lease: decode_lease(head.lease, &mut payloads)?, revoke_at });
    }
    if !payloads.is_empty() {
        return Err(LeaseRecordError::Malformed);
    }
    let waiting = head.waiting.iter();
    let waiting = waiting.map(|head| (Revision(head.revision), Timestamp::from_millis(head.revoke_at))).collect();
    let removed = head.removed.map(Timestamp::from_millis);
    let held_file = lease.as_ref().filter(|lease| lease.origin == LeaseOrigin::File);
    // Earlier versions did not write it.
    let file = head.file.map(Digest::new).or(held_file.map(|lease| sha256(lease.payload.expose())));
    Ok(DecodedRecord {
        record: LeaseRecord {
            revision: Revision(head.revision),
            lease,
            retired,
            removed,
            file,
            passed: head.passed.map(Digest::new),
            revoked: head.revoked.map(Digest::new),
            ..LeaseRecord::default()
        },
        waiting,
    })
}

fn encode_lease(lease: &Lease) -> LeaseHead {
    LeaseHead {
        revision: lease.revision.0,
        service: lease.service.as_ref().map(ToString::to_string),
        kind: lease.kind.as_ref().map(ToString::to_string),
        obtained_at: lease.obtained_at.as_millis(),
        issued_at: lease.issued_at.as_millis(),
        stated: match lease.stated {
            TokenExpiry::Unknown => ExpiryHead::Unknown,
            TokenExpiry::Never => ExpiryHead::Never,
            TokenExpiry::At(at) => ExpiryHead::At(at.as_millis()),
        },
        valid_until: lease.valid_until.as_millis(),
        next_at: lease.next_at.map(Timestamp::as_millis),
        renewable_until: lease.renewable_until.map(Timestamp::as_millis),
        facts: lease.facts.iter().map(|fact| (fact.name.clone(), fact.value.clone())).collect(),
        origin: match lease.origin {
            LeaseOrigin::Component => OriginHead::Component,
            LeaseOrigin::File => OriginHead::File,
        },
        fingerprint: lease.fingerprint.0,
        payload: lease.payload.len(),
        handle: lease.handle.len(),
        subject: String::new(),
    }
}

fn decode_lease(head: LeaseHead, payloads: &mut &[u8]) -> Result<Lease, LeaseRecordError> {
    let payload = framing::take(payloads, head.payload).ok_or(LeaseRecordError::Malformed)?;
    let handle = framing::take(payloads, head.handle).ok_or(LeaseRecordError::Malformed)?;
    if !head.subject.is_empty() {
        return Err(LeaseRecordError::Subject);
    }
    Ok(Lease {
        revision: Revision(head.revision),
        service: head.service.map(|service| service.parse()).transpose().map_err(|_| LeaseRecordError::Malformed)?,
        kind: head.kind.map(|kind| kind.parse()).transpose().map_err(|_| LeaseRecordError::Malformed)?,
        payload: Arc::new(payload),
        handle: Arc::new(handle),
        obtained_at: Timestamp::from_millis(head.obtained_at),
        issued_at: Timestamp::from_millis(head.issued_at),
        stated: match head.stated {
            ExpiryHead::Unknown => TokenExpiry::Unknown,
            ExpiryHead::Never => TokenExpiry::Never,
            ExpiryHead::At(at) => TokenExpiry::At(Timestamp::from_millis(at)),
        },
        valid_until: Timestamp::from_millis(head.valid_until),
        next_at: head.next_at.map(Timestamp::from_millis),
        renewable_until: head.renewable_until.map(Timestamp::from_millis),
        facts: head.facts.into_iter().map(|(name, value)| Fact { name, value }).collect(),
        origin: match head.origin {
            OriginHead::Component => LeaseOrigin::Component,
            OriginHead::File => LeaseOrigin::File,
        },
        fingerprint: ConfigFingerprint(head.fingerprint),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(revision: u64, payload: &[u8]) -> Lease {
        Lease {
            revision: Revision(revision),
            service: Some("s3".parse().unwrap()),
            kind: Some("aws-credential-process/1".parse().unwrap()),
            handle: Arc::new(SecretBytes::new(b"handle".to_vec())),
            stated: TokenExpiry::Never,
            next_at: Some(Timestamp::from_millis(5)),
            renewable_until: None,
            facts: vec![Fact { name: "a".to_owned(), value: "b".to_owned() }],
            payload: Arc::new(SecretBytes::new(payload.to_vec())),
            obtained_at: Timestamp::from_millis(revision),
            issued_at: Timestamp::from_millis(revision + 1),
            valid_until: Timestamp::from_millis(u64::MAX - revision),
            origin: if revision.is_multiple_of(2) { LeaseOrigin::Component } else { LeaseOrigin::File },
            fingerprint: ConfigFingerprint([7; 16]),
        }
    }

    fn record() -> LeaseRecord {
        let retired = |lease| RetiredLease { lease, revoke_at: Timestamp::from_millis(99) };
        LeaseRecord {
            revision: Revision(9),
            lease: Some(lease(9, b"the payload")),
            retired: vec![retired(lease(7, b"")), retired(lease(8, b"another"))],
            removed: Some(Timestamp::from_millis(77)),
            file: Some(Digest::new([4; 32])),
            passed: Some(Digest::new([5; 32])),
            revoked: Some(Digest::new([6; 32])),
            ..LeaseRecord::default()
        }
    }

    fn earlier_record() -> Vec<u8> {
        let head = serde_json::to_vec(&RecordHead {
            format: FORMAT,
            revision: 9,
            lease: Some(encode_lease(&lease(9, b"the payload"))),
            retired: vec![RetiredHead { lease: encode_lease(&lease(8, b"another")), revoke_at: 99 }],
            waiting: Vec::new(),
            removed: None,
            file: None,
            passed: None,
            revoked: None,
        });
        let payloads = ["the payload", "handle", "another", "handle"].map(|text| SecretBytes::new(text.into()));
        framing::join(&head.unwrap(), payloads.iter()).expose().to_vec()
    }

    #[test]
    fn lease_record_survives_the_round_trip() {
        for record in [record(), LeaseRecord::default()] {
            let bytes = encode(&record).unwrap();
            let read = decode(bytes.expose()).unwrap();
            let named: Vec<_> =
                record.retired.iter().map(|retired| (retired.lease.revision, retired.revoke_at)).collect();
            assert_eq!(read.waiting, named);
            let without_retired = LeaseRecord { retired: Vec::new(), ..record };
            assert_eq!(format!("{:?}", read.record), format!("{without_retired:?}"));
        }
        let lease = lease(8, b"another");
        let read = decode(encode_waiting(&lease).unwrap().expose()).unwrap();
        assert_eq!(format!("{:?}", read.record.lease), format!("{:?}", Some(lease)));
    }

    #[test]
    fn lease_record_of_an_earlier_version_has_its_waiting_leases() {
        let read = decode(&earlier_record()).unwrap();
        assert_eq!((read.record.retired.len(), read.waiting.len()), (1, 0));
        assert_eq!(read.record.retired[0].lease.payload.expose(), b"another");
    }

    #[test]
    fn lease_record_that_is_cut_or_extended_is_refused() {
        for bytes in [encode(&record()).unwrap().expose().to_vec(), earlier_record()] {
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_err(), "{end} bytes");
            }
            assert!(decode(&[bytes, b"x".to_vec()].concat()).is_err());
        }
    }

    #[test]
    fn lease_record_of_a_later_version_is_recognised() {
        let head = br#"{"format":2,"something":"else"}"#;
        let bytes = [&u32::try_from(head.len()).unwrap().to_be_bytes()[..], head].concat();
        assert!(matches!(decode(&bytes), Err(LeaseRecordError::Format(2))));
    }

    #[test]
    fn record_head_and_debug_have_no_payload() {
        assert!(!format!("{:?}", record()).contains("payload\""));
        let bytes = encode(&record()).unwrap();
        let text = String::from_utf8_lossy(bytes.expose()).into_owned();
        assert!(text.ends_with("the payloadhandle") && !text.contains("another"));
    }
}
