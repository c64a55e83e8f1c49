//! A server of HBase that answers anything: the place of hbase:meta and a token, or an error of one bounded line.
#![no_main]

use deputy_fuzz::hadoop::{AnyServer, Credulous, is_one_line};
use deputy_kit_hadoop::hbase::{HBaseClient, HBaseOptions, Service};
use deputy_kit_hadoop::identifier::HBaseTokenIdentifier;
use deputy_kit_hadoop::sasl::Qualities;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let options = HBaseOptions {
        service: Service::Regions,
        principal: "hbase/rs1",
        qualities: Qualities::ANY,
        effective_user: None,
    };
    // The first byte chooses which of the two calls comes first.
    let (first, bytes) = bytes.split_first().unwrap_or((&0, bytes));
    let client = HBaseClient::connect(AnyServer::new(bytes), &options, |_| Ok(Credulous));
    let outcome = client.and_then(|mut client| {
        if first % 2 == 0 {
            let server = client.meta_server()?;
            assert!(!server.host.is_empty() && server.port != 0);
        }
        let token = client.obtain_token()?;
        assert!(!token.is_empty() && !token.service.is_empty());
        HBaseTokenIdentifier::read(&token.identifier).ok();
        Ok(())
    });
    if let Err(error) = outcome {
        is_one_line(&error);
    }
});
