//! Sends a body that never ends.

use hostile_guests::http::{Method, Request};
use hostile_guests::{guest, outcome, report};

guest!(|settings| {
    let mut upload = Request::get(&settings.text("url")).method(Method::Post).begin().expect("a granted request");
    let mut written = 0;
    let end = loop {
        match upload.write(&[b'x'; 4096]) {
            Ok(()) => written += 4096,
            Err(error) => break error,
        }
    };
    report([format!("{written} err {end}"), outcome(upload.answer().map(|answer| answer.status))])
});
