//! Opens a context with a granted service on a host that no rule names.

use hostile_guests::kerberos::try_all;
use hostile_guests::{guest, report};

guest!(|settings| report(try_all(&settings.lines("targets"))));
