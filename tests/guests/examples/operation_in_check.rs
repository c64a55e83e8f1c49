//! A receiver that leaves files, makes requests and opens secrets where it is only asked whether it can work.

use hostile_guests::http::get;
use hostile_guests::receiver::bindings::exports::delegation::tokens::receiver;
use hostile_guests::receiver::{Applied, Bound, Delivery, accepted, bindings, put};
use hostile_guests::secrets::open;
use hostile_guests::types::Setting;
use hostile_guests::{Failure, KIND, Next, Settings, failure, outcome, state};

struct Guest;

impl receiver::Guest for Guest {
    fn kinds(_: Vec<Setting>) -> Result<Vec<String>, Failure> {
        Ok(vec![KIND.to_owned()])
    }

    fn check(settings: Vec<Setting>, _: Vec<Bound>) -> Result<(), Failure> {
        let tried = [
            put("credentials", "x"),
            get(&Settings::new(settings).text("url")),
            outcome(open("key").map(drop)),
            outcome(state::load()),
        ];
        Err(failure(Next::Misconfigured, tried.join(" | ")))
    }

    fn accept(_: Vec<Setting>, _: Vec<Delivery>) -> Applied {
        accepted()
    }
}

bindings::export!(Guest with_types_in bindings);
