//! Follows a redirect to a host that is not granted: the host does not, so the guest does.

use hostile_guests::http::{Request, get};
use hostile_guests::{guest, report};

guest!(|settings| {
    let first = match Request::get(&settings.text("url")).send() {
        Ok(answer) => answer,
        Err(error) => return report([format!("err {error}")]),
    };
    let location = first.header("location").expect("a redirect");
    report([first.status.to_string(), get(&location)])
});
