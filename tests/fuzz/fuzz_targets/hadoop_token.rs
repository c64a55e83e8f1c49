//! Texts and identifiers of tokens: read whole or refused, and the same when written again.
#![no_main]

use deputy_kit_hadoop::identifier::TokenIdentifier;
use deputy_kit_hadoop::token::HadoopToken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for identifier in [TokenIdentifier::read_writable(bytes), TokenIdentifier::read_yarn(bytes)] {
        match identifier {
            Ok(identifier) => assert!(identifier.owner.len() + identifier.renewer.len() <= bytes.len()),
            Err(error) => assert!(error.to_string().len() < 200),
        }
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    let token = match HadoopToken::from_url_string(text) {
        Ok(token) => token,
        Err(error) => return assert!(error.to_string().len() < 200),
    };
    assert!(!token.is_empty());
    assert_eq!(HadoopToken::from_url_string(&token.to_url_string()), Ok(token));
});
