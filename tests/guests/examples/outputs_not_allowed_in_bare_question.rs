//! A receiver that leaves files when it is only asked for its services.

use hostile_guests::receiver::bindings::exports::delegation::tokens::receiver;
use hostile_guests::receiver::{Accepted, Delivery, bindings, put};
use hostile_guests::types::Setting;

struct Guest;

impl receiver::Guest for Guest {
    fn services() -> Vec<String> {
        vec![put("credentials", "x").split(' ').next().expect("a word").to_owned()]
    }

    fn accept(_: Vec<Setting>, _: Vec<Delivery>) -> Accepted {
        Ok(())
    }
}

bindings::export!(Guest with_types_in bindings);
