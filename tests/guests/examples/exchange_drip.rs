//! Reads an answer that comes a byte at a time, each in time and the whole never.

use hostile_guests::http::weigh;
use hostile_guests::{guest, report};

guest!(|settings| report([weigh(&settings.text("url"))]));
