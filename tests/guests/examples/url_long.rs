//! Requests a URL that is longer than it may be.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| {
    let url = settings.text("url");
    let longer = |bytes: u64| format!("{url}/{}", "a".repeat(bytes as usize));
    report(settings.lines("bytes").iter().map(|bytes| get(&longer(bytes.parse().expect("a number")))))
});
