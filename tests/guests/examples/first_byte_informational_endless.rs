//! Waits for an answer from a server that says 103 for ever.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report([get(&settings.text("url"))]));
