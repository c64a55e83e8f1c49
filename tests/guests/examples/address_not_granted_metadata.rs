//! Requests a granted name that leads to where clouds hand out credentials.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report([get(&settings.text("url"))]));
