//! Puts what it was given into a path, a good one and a bad one: both are recorded.

use hostile_guests::receiver;
use hostile_guests::receiver::{payload, put, report};

receiver!(|_, deliveries| {
    let payload = payload(deliveries);
    report([put(&payload, "x"), put(&format!("../{payload}"), "x"), put(&payload, "again")])
});
