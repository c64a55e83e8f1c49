//! A metastore of Hive that answers anything: a token and its expiry, or an error of one bounded line.
#![no_main]

use deputy_fuzz::hadoop::{AnyServer, Credulous, is_one_line};
use deputy_kit_hadoop::lifecycle::TokenCalls;
use deputy_kit_hadoop::metastore::MetastoreClient;
use deputy_kit_hadoop::sasl::Qualities;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first byte chooses which of the two calls comes first.
    let (first, bytes) = bytes.split_first().unwrap_or((&0, bytes));
    let client = MetastoreClient::connect(AnyServer::new(bytes), Ok(Credulous), Qualities::ANY);
    let outcome = client.and_then(|mut client| {
        if first % 2 == 0 {
            client.cancel_token(&Default::default())?;
        }
        let token = client.obtain_token("bob", "alice")?;
        assert!(!token.is_empty());
        client.renew_token(&token)
    });
    match outcome {
        Ok(expiry) => assert_ne!(expiry, 0),
        Err(error) => is_one_line(&error),
    }
});
