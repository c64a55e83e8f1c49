//! Sends more headers than fit, none of them large.

use hostile_guests::http::{Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let count = settings.number("count");
    let request = (0..count).fold(Request::get(&settings.text("url")), |request, n| {
        request.header(&format!("x-{n}"), "value-of-some-length")
    });
    report([attempt(request)])
});
