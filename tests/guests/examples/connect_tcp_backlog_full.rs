//! Opens a TCP connection to a server that takes none.

use hostile_guests::sockets::{connect, resolve};
use hostile_guests::{guest, outcome, report};

guest!(|settings| {
    let address = resolve(&settings.text("name")).expect("a granted name")[0];
    let port = settings.number("port") as u16;
    report([outcome(connect((address, port).into()).map(drop))])
});
