//! Waits for an answer that never begins.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report([get(&settings.text("url"))]));
