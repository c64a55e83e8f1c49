//! Opens secrets that it was not granted, under names that a careless host would look up elsewhere.

use hostile_guests::secrets::{line, open};
use hostile_guests::{guest, report};

guest!(|settings| report(settings.lines("names").iter().map(|name| line(open(name).map(|_| "opened".to_owned())))));
