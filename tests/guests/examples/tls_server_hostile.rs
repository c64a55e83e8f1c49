//! Speaks with servers whose TLS is wrong, and tells what came in and how it ended.

use hostile_guests::sockets::{Connection, connect, resolve};
use hostile_guests::wasip2::io::streams::StreamError;
use hostile_guests::{guest, report};

guest!(|settings| {
    let address = resolve(&settings.text("name")).expect("a granted name")[0];
    report(settings.lines("ports").into_iter().map(|port| {
        let port: u16 = port.parse().expect("a port");
        connect((address, port).into()).map_or_else(|error| format!("err {error}"), |opened| exchange(&opened))
    }))
});

fn exchange(connection: &Connection) -> String {
    if connection.output.blocking_write_and_flush(b"hello").is_err() {
        return "err write".to_owned();
    }
    let mut bytes = 0;
    let end = loop {
        match connection.input.blocking_read(4096) {
            Ok(piece) => bytes += piece.len(),
            Err(error) => break error,
        }
    };
    format!("{bytes} {}", if matches!(end, StreamError::Closed) { "closed" } else { "failed" })
}
