//! Looks up a granted name more often than it may, and never connects.

use hostile_guests::sockets::resolve;
use hostile_guests::{guest, outcome, report};

guest!(|settings| {
    let name = settings.text("name");
    report((0..settings.number("count")).map(|_| outcome(resolve(&name))))
});
