//! Waits for a granted connection to say something.

use hostile_guests::sockets::{connect, resolve};
use hostile_guests::{guest, outcome, report};

guest!(|settings| {
    let address = resolve(&settings.text("name")).expect("a granted name")[0];
    let connection = connect((address, settings.number("port") as u16).into()).expect("a granted connection");
    report([outcome(connection.input.blocking_read(1).map(|piece| piece.len()))])
});
