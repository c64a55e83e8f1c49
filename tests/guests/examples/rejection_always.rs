//! Puts files and rejects everything, whatever it is given.

use hostile_guests::receiver::{Accepted, Rejection, put};
use hostile_guests::{Failure, Next, failure, receiver};

receiver!(|_, deliveries| {
    for delivery in deliveries {
        assert_eq!(put(&delivery.instance, &delivery.payload), "ok");
    }
    let rejected = deliveries.iter().map(|delivery| Rejection {
        instance: delivery.instance.clone(),
        failure: Failure { retry_after_ms: Some(0), ..failure(Next::Unavailable, "never good enough") },
    });
    Ok(Accepted { rejected: rejected.collect(), facts: Vec::new() })
});
