//! Opens more connections than it may.

use hostile_guests::sockets::{connect, resolve};
use hostile_guests::{guest, outcome, report};

guest!(|settings| {
    let address = resolve(&settings.text("name")).expect("a granted name")[0];
    let port = settings.number("port") as u16;
    report((0..settings.number("count")).map(|_| outcome(connect((address, port).into()).map(drop))))
});
