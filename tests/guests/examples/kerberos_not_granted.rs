//! Asks who it is logged in as, and for a service, without a login.

use hostile_guests::kerberos::{principal, try_all, why};
use hostile_guests::{guest, report};

guest!(|settings| {
    let name = principal().unwrap_or_else(|error| why(&error));
    report([vec![name], try_all(&settings.lines("targets"))].concat())
});
