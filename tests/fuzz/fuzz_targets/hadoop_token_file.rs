//! A token file is read whole or refused; what was read is written in both versions and read again.
#![no_main]

use deputy_kit_hadoop::token_file::{FileVersion, HadoopTokenFile, MAX_ENTRIES, MAX_FILE};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = match HadoopTokenFile::parse(bytes) {
        Ok(file) => file,
        Err(error) => return assert!(error.to_string().len() < 200),
    };
    assert!(bytes.len() <= MAX_FILE && bytes.starts_with(b"HDTS"));
    assert!(file.tokens().count() <= MAX_ENTRIES && file.secrets().count() <= MAX_ENTRIES);
    for version in [FileVersion::Writable, FileVersion::Protobuf] {
        let written = file.to_bytes(version);
        let again = HadoopTokenFile::parse(&written);
        assert!(written.len() > MAX_FILE || again == Ok(file.clone()), "{version:?}");
    }
});
