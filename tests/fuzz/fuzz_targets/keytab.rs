//! A keytab is read whole or refused. A hole, as a deletion leaves it, changes nothing.
#![no_main]

use deputy_fuzz::keytab::{KeytabError, parse_keytab};
use libfuzzer_sys::fuzz_target;

/// Bytes of the shortest record: one without a name, a realm and a key.
const SHORTEST: usize = 4 + 2 + 2 + 8 + 1 + 2 + 2;

fuzz_target!(|bytes: &[u8]| {
    let entries = match parse_keytab(bytes) {
        Ok(entries) => entries,
        Err(KeytabError::Version) => return assert!(!bytes.starts_with(&[5, 2])),
        Err(KeytabError::Record(at)) => return assert!(at >= 2 && at < bytes.len()),
    };
    assert!(bytes.starts_with(&[5, 2]) && entries.len() * SHORTEST + 2 <= bytes.len());
    for entry in &entries {
        // A replaced byte has three.
        assert!(entry.principal.contains('@') && entry.principal.len() <= 3 * bytes.len() + 1);
    }
    let hole = [&(-3_i32).to_be_bytes()[..], &[7; 3]].concat();
    assert_eq!(parse_keytab(&[bytes, &hole].concat()), Ok(entries.clone()));
    assert_eq!(parse_keytab(&[&bytes[..2], &hole, &bytes[2..]].concat()), Ok(entries));
});
