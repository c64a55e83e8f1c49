//! Writes a hundred thousand lines to standard output and standard error.

use hostile_guests::wasip2::cli::stderr::get_stderr;
use hostile_guests::wasip2::cli::stdout::get_stdout;
use hostile_guests::{guest, report};

guest!(|_| {
    let lines = "a line\n".repeat(500);
    let streams = [get_stdout(), get_stderr()];
    for _ in 0..200 {
        for stream in &streams {
            stream.blocking_write_and_flush(lines.as_bytes()).expect("a stream that takes it");
        }
    }
    report(["wrote".to_owned()])
});
