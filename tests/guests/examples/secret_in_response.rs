//! Has a server send back the secret that the host adds to requests: whole, in pieces, compressed, in an error page.

use hostile_guests::http::{Method, Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let url = settings.text("url");
    let form = |url: &str| {
        Request::get(url).method(Method::Post).header("content-type", "application/x-www-form-urlencoded").body("a=1")
    };
    report([
        attempt(form(&format!("{url}/whole"))),
        attempt(form(&format!("{url}/dripping"))),
        attempt(form(&format!("{url}/header"))),
        attempt(form(&format!("{url}/whole")).header("range", "bytes=0-10")),
        attempt(form(&format!("{url}/gzip")).header("accept-encoding", "gzip")),
    ])
});
