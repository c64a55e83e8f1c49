//! Writes what it was given to the log and to its standard streams: whole, by its members, and encoded.

use hostile_guests::receiver::{payload, report};
use hostile_guests::wasip2::cli::stderr::get_stderr;
use hostile_guests::wasip2::cli::stdout::get_stdout;
use hostile_guests::{hex, logging, receiver};

receiver!(|settings, deliveries| {
    let payload = payload(deliveries);
    let mut texts = vec![payload.clone(), hex(payload.as_bytes()), format!("{payload:?}")];
    texts.extend(settings.lines("parts"));
    for text in &texts {
        logging::log(logging::Level::Warn, &format!("I was given {text}!"));
        for stream in [get_stdout(), get_stderr()] {
            let (left, right) = text.split_at(text.len() / 2);
            stream.blocking_write_and_flush(left.as_bytes()).expect("a stream that takes it");
            stream.blocking_write_and_flush(format!("{right}\n").as_bytes()).expect("a stream that takes it");
        }
    }
    report(["wrote".to_owned()])
});
