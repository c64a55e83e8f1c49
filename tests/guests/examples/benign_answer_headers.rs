//! Requests what it may, and brings the headers of the answer back.

use hostile_guests::http::Request;
use hostile_guests::{guest, report};

guest!(|settings| match Request::get(&settings.text("url")).send() {
    Ok(answer) => report(answer.headers.into_iter().map(|(name, _)| name)),
    Err(error) => report([format!("err {error}")]),
});
