//! Opens contexts with a service on a host to which it has no connection.

use hostile_guests::kerberos::try_all;
use hostile_guests::{guest, report};

guest!(|settings| report(try_all(&settings.lines("targets"))));
