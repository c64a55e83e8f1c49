//! Announces kinds that are none, among thousands.

use hostile_guests::bindings::exports::delegation::tokens::provider;
use hostile_guests::types::Setting;
use hostile_guests::{Failure, Obtained, Settings, bindings, report};

struct Guest;

impl provider::Guest for Guest {
    fn service_name(_: Vec<Setting>) -> Result<String, Failure> {
        Ok("hostile".to_owned())
    }

    fn kinds(settings: Vec<Setting>) -> Result<Vec<String>, Failure> {
        let settings = Settings::new(settings);
        let mut kinds: Vec<_> = (0..settings.number("count")).map(|n| format!("k{n}/1")).collect();
        kinds.push(settings.text("kind").replace("HUGE", &"x".repeat(1 << 20)));
        Ok(kinds)
    }

    fn tokens_required(_: Vec<Setting>) -> Result<bool, Failure> {
        Ok(true)
    }

    fn obtain(_: Vec<Setting>) -> Obtained {
        report(["tokens".to_owned()])
    }
}

bindings::export!(Guest with_types_in bindings);
