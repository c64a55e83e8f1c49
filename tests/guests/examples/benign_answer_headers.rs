//! Requests what it may, and brings the headers of the answer back.

use hostile_guests::http::Request;
use hostile_guests::{guest, report};

guest!(|settings| match Request::get(&settings.text("url")).send() {
    Ok(answer) => report(answer.headers.iter().map(|(name, _)| name.as_str())),
    Err(error) => report([format!("err {error}").as_str()]),
});
