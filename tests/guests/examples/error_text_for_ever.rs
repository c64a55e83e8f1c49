//! Asks to be tried again in 584 million years, so that the host's arithmetic overflows.

use hostile_guests::{Failure, Next, failure, guest};

guest!(|settings| {
    let failure = failure(Next::Throttled, settings.text("message"));
    Err(Failure { retry_after_ms: Some(u64::MAX), ..failure })
});
