//! A ZooKeeper that answers anything: the place of hbase:meta, or an error of one bounded line.
#![no_main]

use deputy_fuzz::hadoop::{AnyServer, is_one_line};
use deputy_kit_hadoop::hbase::zookeeper::{DEFAULT_PARENT, meta_server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match meta_server(AnyServer::new(bytes), DEFAULT_PARENT) {
        Ok(server) => assert!(!server.host.is_empty() && server.port != 0),
        Err(error) => is_one_line(&error),
    }
});
