//! Sends bodies that are small each and large together.

use hostile_guests::http::{Method, Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let body = "x".repeat(settings.number("bytes") as usize);
    report(
        (0..settings.number("count"))
            .map(|_| attempt(Request::get(&settings.text("url")).method(Method::Post).body(body.as_str()))),
    )
});
