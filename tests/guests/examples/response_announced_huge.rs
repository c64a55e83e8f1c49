//! Reads an answer that announces more than it may bring, as much at once as it can.

use hostile_guests::http::Request;
use hostile_guests::{guest, report};

guest!(|settings| {
    let mut answer = match Request::get(&settings.text("url")).send() {
        Ok(answer) => answer,
        Err(error) => return report([format!("err {error}")]),
    };
    let mut bytes = 0;
    let end = loop {
        match answer.read(u64::MAX) {
            Ok(Some(piece)) => bytes += piece.len(),
            Ok(None) => break "ok".to_owned(),
            Err(error) => break format!("err {error}"),
        }
    };
    report([format!("{} {bytes} {end}", answer.status)])
});
