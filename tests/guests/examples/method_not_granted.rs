//! Uses methods that no rule for the host names.

use hostile_guests::http::{Method, Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let methods = [Method::Post, Method::Delete, Method::Other("PROPFIND".to_owned())];
    report(methods.map(|method| attempt(Request::get(&settings.text("url")).method(method))))
});
