//! Requests a granted name that leads to an IPv4 address in an IPv6 coat.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report([get(&settings.text("url"))]));
