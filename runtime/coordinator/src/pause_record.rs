//! The saved form of the delay that a service asked for.

use deputy_core::schedule::{ConfigFingerprint, ServicePause};
use deputy_core::{SecretBytes, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct PauseRecord {
    asked_at: u64,
    until: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account_until: Option<u64>,
    fingerprint: [u8; 16],
}

pub(crate) fn encode(pause: &ServicePause) -> Result<SecretBytes, serde_json::Error> {
    let record = PauseRecord {
        asked_at: pause.asked_at.as_millis(),
        until: pause.until.as_millis(),
        account_until: pause.account_until.map(Timestamp::as_millis),
        fingerprint: pause.fingerprint.0,
    };
    Ok(SecretBytes::new(serde_json::to_vec(&record)?))
}

/// `None` if it is none that this version reads: the next one replaces it.
pub(crate) fn decode(bytes: &[u8]) -> Option<ServicePause> {
    let record: PauseRecord = serde_json::from_slice(bytes).ok()?;
    Some(ServicePause {
        asked_at: Timestamp::from_millis(record.asked_at),
        until: Timestamp::from_millis(record.until),
        account_until: record.account_until.map(Timestamp::from_millis),
        fingerprint: ConfigFingerprint(record.fingerprint),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_record_survives_the_round_trip() {
        for account_until in [None, Some(Timestamp::from_millis(5))] {
            let pause = ServicePause {
                asked_at: Timestamp::from_millis(2),
                until: Timestamp::from_millis(7),
                account_until,
                fingerprint: ConfigFingerprint([3; 16]),
            };
            assert_eq!(decode(encode(&pause).unwrap().expose()), Some(pause));
        }
    }

    #[test]
    fn pause_record_that_is_something_else_is_none() {
        for bytes in [&b""[..], b"{}", br#"{"until":"soon"}"#, br#"{"until":-1,"fingerprint":[]}"#] {
            assert_eq!(decode(bytes), None);
        }
    }
}
