//! A receiver that leaves files when it is only asked for its kinds.

use hostile_guests::Failure;
use hostile_guests::receiver::bindings::exports::delegation::tokens::receiver;
use hostile_guests::receiver::{Applied, Bound, Delivery, accepted, bindings, put};
use hostile_guests::types::Setting;

struct Guest;

impl receiver::Guest for Guest {
    fn kinds(_: Vec<Setting>) -> Result<Vec<String>, Failure> {
        let told = put("credentials", "x");
        Ok(vec![format!("{}/1", told.split(' ').next().expect("a word"))])
    }

    fn check(_: Vec<Setting>, _: Vec<Bound>) -> Result<(), Failure> {
        Ok(())
    }

    fn accept(_: Vec<Setting>, _: Vec<Delivery>) -> Applied {
        accepted()
    }
}

bindings::export!(Guest with_types_in bindings);
