//! A server of Hadoop RPC that answers anything: a token, or an error of one bounded line.
#![no_main]

use deputy_fuzz::hadoop::{AnyServer, Credulous, is_one_line};
use deputy_kit_hadoop::lifecycle::TokenCalls;
use deputy_kit_hadoop::rpc::{ExpectedServer, RpcClient, RpcOptions};
use deputy_kit_hadoop::sasl::Qualities;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let options = RpcOptions {
        protocol: "org.apache.hadoop.hdfs.protocol.ClientProtocol",
        server: ExpectedServer::new("nn1", None),
        qualities: Qualities::ANY,
        effective_user: None,
        client_id: [7; 16],
    };
    let client = RpcClient::connect(AnyServer::new(bytes), &options, |target| {
        let (service, host) = target.split_once('/').expect("a principal");
        assert!(!service.is_empty() && host.eq_ignore_ascii_case("nn1"));
        Ok(Credulous)
    });
    let outcome = client.and_then(|mut client| {
        let token = client.obtain_token("alice")?;
        assert!(!token.is_empty());
        client.renew_token(&token)
    });
    if let Err(error) = outcome {
        is_one_line(&error);
    }
});
