//! Passes a log line of 8 MiB to the host, which copies arguments before it looks at them.

use hostile_guests::{guest, logging, report};

guest!(|_| {
    logging::log(logging::Level::Info, &"x".repeat(8 << 20));
    report(["survived".to_owned()])
});
