//! Writes a line to standard error that never ends: the host must not wait for its end with all of it in memory.

use hostile_guests::wasip2::cli::stderr::get_stderr;
use hostile_guests::{guest, report};

guest!(|_| {
    let stream = get_stderr();
    for _ in 0..5_000 {
        stream.blocking_write_and_flush(&[b'x'; 4096]).expect("a stream that takes it");
    }
    report(["wrote".to_owned()])
});
