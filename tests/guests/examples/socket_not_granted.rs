//! Connects to addresses of its own choice.

use hostile_guests::sockets::connect;
use hostile_guests::{guest, outcome, report};

guest!(|settings| report(
    settings
        .lines("addresses")
        .iter()
        .map(|address| { outcome(connect(address.parse().expect("an address")).map(drop)) })
));
