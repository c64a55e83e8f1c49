//! Writes hosts that a resolver reads in another way than a rule does.

use hostile_guests::http::get;
use hostile_guests::{guest, report};

guest!(|settings| report(settings.lines("urls").iter().map(|url| get(url))));
