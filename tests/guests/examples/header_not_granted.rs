//! Makes a granted request another one, by headers that servers and proxies obey.

use hostile_guests::http::{Method, Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let url = settings.text("url");
    report(settings.lines("headers").into_iter().map(|header| {
        let (name, value) = header.split_once(": ").expect("a header");
        attempt(Request::get(&url).method(Method::Post).header(name, value))
    }))
});
