//! Sends credentials of its own to a server for which the host adds a Kerberos token.

use hostile_guests::http::{Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let url = settings.text("url");
    let own = ["Negotiate YIIC", "Basic YTpi", "Bearer x", ""];
    report(own.map(|value| attempt(Request::get(&url).header("Authorization", value))))
});
