//! Names another host in a header, and forges what a proxy on the way would believe.

use hostile_guests::http::{Request, attempt};
use hostile_guests::{guest, report};

guest!(|settings| {
    let forged = ["host", "Host", "connection", "transfer-encoding", "upgrade", "proxy-authorization", "keep-alive"];
    report(forged.map(|name| attempt(Request::get(&settings.text("url")).header(name, "other.example"))))
});
