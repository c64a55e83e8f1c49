//! Requests a granted name that leads to a good address and to a bad one.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report([get(&settings.text("url"))]));
