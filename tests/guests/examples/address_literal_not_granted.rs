//! Requests a granted host that is an address, of a class that is not granted.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report(settings.lines("urls").iter().map(|url| get(url))));
