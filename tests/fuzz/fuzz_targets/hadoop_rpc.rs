//! A server of Hadoop RPC that answers anything: a token, or an error of one bounded line.
#![no_main]

use deputy_kit_hadoop::rpc::{ExpectedServer, RpcClient, RpcOptions};
use deputy_kit_hadoop::sasl::{ContextError, ContextStep, OpenedMessage, Qualities, SecurityContext};
use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Read, Write};

/// A connection to the server.
struct Server<'a>(Cursor<&'a [u8]>);

impl Read for Server<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Server<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A context that takes every token, so that the server reaches what lies behind.
struct Credulous;

impl SecurityContext for Credulous {
    fn step(&mut self, token: &[u8]) -> Result<ContextStep, ContextError> {
        Ok(ContextStep { token: token.to_owned(), established: !token.is_empty() })
    }

    fn wrap(&mut self, message: &[u8], _: bool) -> Result<Vec<u8>, ContextError> {
        Ok(message.to_owned())
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<OpenedMessage, ContextError> {
        Ok(OpenedMessage { message: token.to_owned(), sealed: true })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let options = RpcOptions {
        protocol: "org.apache.hadoop.hdfs.protocol.ClientProtocol",
        server: ExpectedServer::new("nn1", None),
        qualities: Qualities::ANY,
        effective_user: None,
        client_id: [7; 16],
    };
    let client = RpcClient::connect(Server(Cursor::new(bytes)), &options, |target| {
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
        let text = error.to_string();
        assert!(text.len() < 4000 && !text.chars().any(char::is_control), "{text:?}");
    }
});
