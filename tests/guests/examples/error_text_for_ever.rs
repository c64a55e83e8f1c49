//! Asks to be tried again in 584 million years, so that the host's arithmetic overflows.

use hostile_guests::types::Throttle;
use hostile_guests::{Failure, guest};

guest!(|settings| {
    let message = settings.text("message");
    Err(Failure::Throttled(Throttle { message, retry_after_ms: u64::MAX }))
});
