//! Requests what it may, several times over, and brings the answers back.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report((0..settings.number("count")).map(|_| get(&settings.text("url")))));
