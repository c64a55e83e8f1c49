//! Follows a redirect to a granted name that leads to where clouds hand out credentials.

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
