//! Hides a second request, to a path that is not granted, behind a body that is said to be shorter.

use hostile_guests::http::{Method, Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let url = settings.text("url");
    let hidden = "1234GET /hidden HTTP/1.1\r\nhost: other.example\r\n\r\n";
    let post = || Request::get(&url).method(Method::Post);
    report([
        attempt(post().header("content-length", "4").body(hidden)),
        attempt(post().header("content-length", "4").header("content-length", "50").body(hidden)),
        attempt(post().header("content-length", "+4").body(hidden)),
        attempt(Request::get(&url).header("content-length", "4").body(hidden)),
    ])
});
