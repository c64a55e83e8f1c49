//! Reads answers that are small each and large together.

use hostile_guests::http::weigh;
use hostile_guests::{guest, report};

guest!(|settings| report((0..settings.number("count")).map(|_| weigh(&settings.text("url")))));
