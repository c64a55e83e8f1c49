//! A broker of Kafka that answers anything: a token that can be a login, or an error of one bounded line.
#![no_main]

use deputy_kit_hadoop::kafka::{GssapiLogin, KafkaClient, KafkaPrincipal, TokenLogin};
use deputy_kit_hadoop::sasl::{ContextError, ContextStep, OpenedMessage, SecurityContext};
use deputy_scram::Mechanism;
use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Read, Write};

/// A connection to the broker.
struct Broker<'a>(Cursor<&'a [u8]>);

impl Read for Broker<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Broker<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A context that takes every token, so that the broker reaches what lies behind.
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
    let Some((kind, answers)) = bytes.split_first() else { return };
    let mut client = KafkaClient::new(Broker(Cursor::new(answers)));
    let login = match kind % 4 {
        0 => client.login(&mut GssapiLogin::new(Credulous)),
        1 => TokenLogin::new(Mechanism::Sha256, "id", "aG1hYw==", &[0; 24]).and_then(|mut it| client.login(&mut it)),
        // No login: a listener with mutual TLS.
        _ => Ok(()),
    };
    let owner = (kind % 4 == 3).then_some(KafkaPrincipal { kind: "User", name: "bob" });
    let outcome = login.and_then(|()| {
        let token = client.create_token(owner, &[], None)?;
        assert!(!token.id.is_empty() && token.id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        assert!(!token.hmac.is_empty() && token.hmac.len() < 400);
        client.renew_token(&token.hmac)?;
        client.expire_token(&token.hmac)
    });
    if let Err(error) = outcome {
        let text = error.to_string();
        assert!(text.len() < 4000 && !text.chars().any(char::is_control), "{text:?}");
    }
});
