//! Writes ports that can be read in two ways.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report(settings.lines("urls").iter().map(|url| get(url))));
