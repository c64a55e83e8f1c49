//! Calls itself what would be a path, a line of its own, and longer than any name.

use hostile_guests::bindings::exports::delegation::tokens::provider;
use hostile_guests::types::Setting;
use hostile_guests::{Failure, KIND, Obtained, bindings, report};

struct Guest;

impl provider::Guest for Guest {
    fn service_name(_: Vec<Setting>) -> Result<String, Failure> {
        Ok(format!("../../etc/passwd\n\u{1b}[2J{}", "x".repeat(100_000)))
    }

    fn kinds(_: Vec<Setting>) -> Result<Vec<String>, Failure> {
        Ok(vec![KIND.to_owned()])
    }

    fn tokens_required(_: Vec<Setting>) -> Result<bool, Failure> {
        Ok(true)
    }

    fn obtain(_: Vec<Setting>) -> Obtained {
        report(["tokens".to_owned()])
    }
}

bindings::export!(Guest with_types_in bindings);
