//! Uses its grants where it is only asked for its name and whether tokens are needed.

use hostile_guests::bindings::exports::delegation::tokens::provider;
use hostile_guests::http::get;
use hostile_guests::secrets::open;
use hostile_guests::types::Setting;
use hostile_guests::{Failure, Obtained, Settings, bindings, report};

struct Guest;

impl provider::Guest for Guest {
    fn service_name() -> String {
        if open("key").is_ok() { "opened".to_owned() } else { "refused".to_owned() }
    }

    fn tokens_required(settings: Vec<Setting>) -> Result<bool, Failure> {
        Err(Failure::Denied(get(&Settings::new(settings).text("url"))))
    }

    fn obtain(settings: Vec<Setting>) -> Obtained {
        let secret = open("key").is_ok();
        report([secret.to_string(), get(&Settings::new(settings).text("url"))])
    }
}

bindings::export!(Guest with_types_in bindings);
