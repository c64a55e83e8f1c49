//! Puts more files than it may, and says on standard error the host's answer: there is no room for a report.

use hostile_guests::receiver;
use hostile_guests::receiver::{accepted, put};
use hostile_guests::wasip2::cli::stderr::get_stderr;

receiver!(|settings, _| {
    let mut lines: Vec<_> = (0..settings.number("count")).map(|n| put(&format!("file-{n}"), "x")).collect();
    lines.dedup();
    get_stderr().blocking_write_and_flush(lines.join("\n").as_bytes()).expect("a stream that takes it");
    accepted()
});
