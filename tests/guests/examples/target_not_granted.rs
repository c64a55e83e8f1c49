//! Opens contexts with services that were not granted, under names that are read in several ways.

use hostile_guests::kerberos::try_all;
use hostile_guests::{guest, report};

guest!(|settings| report(try_all(&settings.lines("targets"))));
