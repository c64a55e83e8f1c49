//! Requests a granted name twice; between the two its owner lets it lead elsewhere.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report([get(&settings.text("url")), get(&settings.text("url"))]));
