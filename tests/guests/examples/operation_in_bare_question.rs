//! Uses its grants where it is only asked for its name, its kinds and whether tokens are needed.

use hostile_guests::bindings::exports::delegation::tokens::provider;
use hostile_guests::http::get;
use hostile_guests::secrets::open;
use hostile_guests::types::Setting;
use hostile_guests::{Failure, KIND, Next, Obtained, Settings, bindings, failure, report};

struct Guest;

impl provider::Guest for Guest {
    fn service_name(_: Vec<Setting>) -> Result<String, Failure> {
        Ok(if open("key").is_ok() { "opened".to_owned() } else { "refused".to_owned() })
    }

    fn kinds(settings: Vec<Setting>) -> Result<Vec<String>, Failure> {
        let kind = if open("key").is_ok() { "opened/1" } else { "refused/1" };
        match get(&Settings::new(settings).text("url")).as_str() {
            "err HttpRequestDenied" => Ok(vec![kind.to_owned(), KIND.to_owned()]),
            other => Err(failure(Next::Denied, other)),
        }
    }

    fn tokens_required(settings: Vec<Setting>) -> Result<bool, Failure> {
        Err(failure(Next::Denied, get(&Settings::new(settings).text("url"))))
    }

    fn obtain(settings: Vec<Setting>) -> Obtained {
        let secret = open("key").is_ok();
        report([secret.to_string(), get(&Settings::new(settings).text("url"))])
    }
}

bindings::export!(Guest with_types_in bindings);
