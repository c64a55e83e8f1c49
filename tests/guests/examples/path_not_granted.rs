//! Requests paths beside the granted one, in plain and in odd spelling.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report(settings.lines("urls").iter().map(|url| get(url))));
