//! Writes a million lines to the log.

use hostile_guests::{guest, logging, report};

guest!(|_| {
    for n in 0..1_000_000 {
        logging::log(logging::Level::Info, &format!("line {n}"));
    }
    report(["wrote".to_owned()])
});
