//! Sends requests with parts left out, for the host to fill in or to pass for anything.

use hostile_guests::http::{Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let url = settings.text("url");
    let (mut scheme, mut authority, mut empty, mut path) =
        (Request::get(&url), Request::get(&url), Request::get(&url), Request::get(&url));
    scheme.scheme = None;
    authority.authority = None;
    empty.authority = Some(String::new());
    path.path = None;
    report([scheme, authority, empty, path].map(attempt))
});
