//! Opens a tunnel, asks for an echo of the headers that the host adds, and writes methods in odd spelling.

use hostile_guests::http::{Method, Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let methods =
        [Method::Connect, Method::Trace, Method::Other("get".to_owned()), Method::Other("CONNECT".to_owned())];
    report(methods.map(|method| attempt(Request::get(&settings.text("url")).method(method))))
});
