//! Writes what clears a terminal, forges lines and turns the reading direction.

use hostile_guests::wasip2::cli::stderr::get_stderr;
use hostile_guests::{guest, logging, report};

guest!(|_| {
    let text = "before\u{1b}[2J\u{9b}31m\r\n2026-01-01T00:00:00Z ERROR deputy: forged\u{202e}\u{2066}\u{0}\u{7f}after";
    logging::log(logging::Level::Warn, text);
    get_stderr().blocking_write_and_flush(text.as_bytes()).expect("a stream that takes it");
    get_stderr().blocking_write_and_flush(b"\xff\xfe not UTF-8\n").expect("a stream that takes it");
    report(["wrote".to_owned()])
});
