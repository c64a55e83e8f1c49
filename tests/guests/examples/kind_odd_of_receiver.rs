//! Names a kind that would be a path and a line of its own, among thousands.

use hostile_guests::Failure;
use hostile_guests::receiver::bindings::exports::delegation::tokens::receiver;
use hostile_guests::receiver::{Applied, Bound, Delivery, accepted, bindings};
use hostile_guests::types::Setting;

struct Guest;

impl receiver::Guest for Guest {
    fn kinds(_: Vec<Setting>) -> Result<Vec<String>, Failure> {
        let mut names: Vec<_> = (0..5_000).map(|n| format!("k{n}/1")).collect();
        names.push(format!("../../etc/passwd\n\u{1b}[2J{}", "x".repeat(100_000)));
        Ok(names)
    }

    fn check(_: Vec<Setting>, _: Vec<Bound>) -> Result<(), Failure> {
        Ok(())
    }

    fn accept(_: Vec<Setting>, _: Vec<Delivery>) -> Applied {
        accepted()
    }
}

bindings::export!(Guest with_types_in bindings);
