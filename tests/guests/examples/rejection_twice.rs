//! Rejects the same delivery thousands of times.

use hostile_guests::receiver::{Accepted, Rejection};
use hostile_guests::{Next, failure, receiver};

receiver!(|_, deliveries| {
    let rejection = |n: u32| {
        let instance = deliveries[0].instance.clone();
        Rejection { instance, failure: failure(Next::Denied, format!("rejection {n}")) }
    };
    Ok(Accepted { rejected: (0..5_000).map(rejection).collect(), facts: Vec::new() })
});
