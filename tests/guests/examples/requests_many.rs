//! Sends more requests than it may.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report((0..settings.number("count")).map(|_| get(&settings.text("url")))));
