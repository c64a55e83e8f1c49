//! Rejects a delivery of an instance that is another receiver's, with the payload in all its texts.

use hostile_guests::receiver::{Accepted, Rejection, payload};
use hostile_guests::{Failure, Next, fact, failure, receiver};

receiver!(|settings, deliveries| {
    let payload = payload(deliveries);
    let failure = Failure {
        code: Some(payload.clone()),
        setting: Some(payload.clone()),
        facts: vec![fact("payload", &payload)],
        ..failure(Next::Denied, format!("I cannot use {payload}"))
    };
    let instance = settings.text("instance");
    Ok(Accepted { rejected: vec![Rejection { instance, failure }], facts: vec![fact("payload", payload)] })
});
