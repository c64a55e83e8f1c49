//! Loads and saves state where it is only asked for its name, its kinds and whether tokens are needed.

use hostile_guests::bindings::exports::delegation::tokens::provider;
use hostile_guests::types::Setting;
use hostile_guests::{Failure, Next, Obtained, bindings, failure, outcome, report, state};

struct Guest;

impl provider::Guest for Guest {
    fn service_name(_: Vec<Setting>) -> Result<String, Failure> {
        Err(failure(Next::Denied, tried()))
    }

    fn kinds(_: Vec<Setting>) -> Result<Vec<String>, Failure> {
        Err(failure(Next::Denied, tried()))
    }

    fn tokens_required(_: Vec<Setting>) -> Result<bool, Failure> {
        Err(failure(Next::Denied, tried()))
    }

    fn obtain(_: Vec<Setting>) -> Obtained {
        report([outcome(state::load())])
    }
}

bindings::export!(Guest with_types_in bindings);

fn tried() -> String {
    format!("{} {}", outcome(state::load()), outcome(state::save(b"canary")))
}
