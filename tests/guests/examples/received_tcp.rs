//! Reads from a connection that never ends.

use hostile_guests::sockets::{connect, resolve};
use hostile_guests::wasip2::io::streams::StreamError;
use hostile_guests::{guest, report};

guest!(|settings| {
    let address = resolve(&settings.text("name")).expect("a granted name")[0];
    let connection = connect((address, settings.number("port") as u16).into()).expect("a granted connection");
    let mut bytes = 0;
    let end = loop {
        match connection.input.blocking_read(u64::MAX) {
            Ok(piece) => bytes += piece.len(),
            Err(error) => break error,
        }
    };
    report([format!("{bytes} {}", matches!(end, StreamError::Closed))])
});
