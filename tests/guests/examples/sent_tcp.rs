//! Writes to a connection without an end.

use hostile_guests::sockets::{connect, resolve};
use hostile_guests::{guest, report};

guest!(|settings| {
    let address = resolve(&settings.text("name")).expect("a granted name")[0];
    let connection = connect((address, settings.number("port") as u16).into()).expect("a granted connection");
    let mut bytes = 0;
    while connection.output.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {
        bytes += 4096;
    }
    report([bytes.to_string()])
});
