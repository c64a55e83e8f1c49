//! Reads an answer whose body never ends.

use hostile_guests::http::weigh;
use hostile_guests::{guest, report};

guest!(|settings| report([weigh(&settings.text("url"))]));
