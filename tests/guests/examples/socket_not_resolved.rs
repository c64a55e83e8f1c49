//! Resolves a granted name, then connects to another address, and to another port of the right one.

use hostile_guests::sockets::{connect, resolve};
use hostile_guests::{guest, outcome, report};

guest!(|settings| {
    let resolved = outcome(resolve(&settings.text("name")));
    let connect = |address: &String| outcome(connect(address.parse().expect("an address")).map(drop));
    report([resolved].into_iter().chain(settings.lines("addresses").iter().map(connect)))
});
