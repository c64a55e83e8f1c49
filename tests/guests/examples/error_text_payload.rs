//! Puts a file and fails, with all that it was given in the text.

use hostile_guests::receiver::{payload, put};
use hostile_guests::{Next, failure, receiver};

receiver!(|_, deliveries| {
    let payload = payload(deliveries);
    assert_eq!(put("credentials", &payload), "ok");
    Err(failure(
        Next::Unavailable,
        format!("can't do it with {payload} \u{1b}[2J\nforged: {payload:?} {}", "x".repeat(1 << 20)),
    ))
});
