//! Sends a header that is larger than all headers may be.

use hostile_guests::http::{Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let value = "x".repeat(settings.number("bytes") as usize);
    report([attempt(Request::get(&settings.text("url")).header("x-large", value))])
});
