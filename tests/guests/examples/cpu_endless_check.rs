//! A receiver that never says whether it can work.

use hostile_guests::receiver::bindings::exports::delegation::tokens::receiver;
use hostile_guests::receiver::{Applied, Bound, Delivery, accepted, bindings};
use hostile_guests::types::Setting;
use hostile_guests::{Failure, KIND};

struct Guest;

impl receiver::Guest for Guest {
    fn kinds(_: Vec<Setting>) -> Result<Vec<String>, Failure> {
        Ok(vec![KIND.to_owned()])
    }

    fn check(_: Vec<Setting>, _: Vec<Bound>) -> Result<(), Failure> {
        loop {
            std::hint::black_box(0);
        }
    }

    fn accept(_: Vec<Setting>, _: Vec<Delivery>) -> Applied {
        accepted()
    }
}

bindings::export!(Guest with_types_in bindings);
