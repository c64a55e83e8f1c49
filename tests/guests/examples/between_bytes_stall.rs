//! Reads an answer that stops in the middle of its body.

use hostile_guests::http::weigh;
use hostile_guests::{guest, report};

guest!(|settings| report([weigh(&settings.text("url"))]));
