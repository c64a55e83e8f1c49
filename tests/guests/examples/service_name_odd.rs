//! Calls itself what would be a path, a line of its own, and longer than any name.

use hostile_guests::bindings::exports::delegation::tokens::provider;
use hostile_guests::types::Setting;
use hostile_guests::{Failure, Obtained, bindings, report};

struct Guest;

impl provider::Guest for Guest {
    fn service_name() -> String {
        format!("../../etc/passwd\n\u{1b}[2J{}", "x".repeat(100_000))
    }

    fn tokens_required(_: Vec<Setting>) -> Result<bool, Failure> {
        Ok(true)
    }

    fn obtain(_: Vec<Setting>) -> Obtained {
        report(["tokens".to_owned()])
    }
}

bindings::export!(Guest with_types_in bindings);
