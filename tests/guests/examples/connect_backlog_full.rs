//! Connects to a server that takes no connections: no answer comes, not even a refusal.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report([get(&settings.text("url"))]));
