//! Writes few lines, each of a megabyte.

use hostile_guests::{guest, logging, report};

guest!(|_| {
    for _ in 0..50 {
        logging::log(logging::Level::Warn, &"long ".repeat(200_000));
    }
    report(["wrote".to_owned()])
});
