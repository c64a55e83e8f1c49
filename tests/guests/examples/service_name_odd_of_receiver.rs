//! Names a service that would be a path and a line of its own, among thousands.

use hostile_guests::receiver::bindings::exports::delegation::tokens::receiver;
use hostile_guests::receiver::{Accepted, Delivery, bindings};
use hostile_guests::types::Setting;

struct Guest;

impl receiver::Guest for Guest {
    fn services() -> Vec<String> {
        let mut names: Vec<_> = (0..5_000).map(|n| format!("s{n}")).collect();
        names.push(format!("../../etc/passwd\n\u{1b}[2J{}", "x".repeat(100_000)));
        names
    }

    fn accept(_: Vec<Setting>, _: Vec<Delivery>) -> Accepted {
        Ok(())
    }
}

bindings::export!(Guest with_types_in bindings);
