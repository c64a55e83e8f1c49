//! Breaks out of a header, of the authority and of the path, to write a header of its own.

use hostile_guests::http::{Method, Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let url = settings.text("url");
    let split = "x\r\nhost: other.example";
    let mut authority = Request::get(&url);
    authority.authority = authority.authority.map(|granted| format!("{granted}\r\nhost: other.example"));
    let mut path = Request::get(&url);
    path.path = Some(format!("/{split}"));
    let method = Request::get(&url).method(Method::Other(format!("GET / HTTP/1.1\r\n{split}")));
    report([
        attempt(Request::get(&url).header("x-split", split)),
        attempt(Request::get(&url).header(split, "x")),
        attempt(authority),
        attempt(path),
        attempt(method),
    ])
});
