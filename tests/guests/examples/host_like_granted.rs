//! Requests hosts whose names look like a granted one.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report(settings.lines("urls").iter().map(|url| get(url))));
