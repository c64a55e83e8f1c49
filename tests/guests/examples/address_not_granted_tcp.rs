//! Resolves a granted name that leads to the host itself.

use hostile_guests::sockets::resolve;
use hostile_guests::{guest, outcome, report};

guest!(|settings| report([outcome(resolve(&settings.text("name")))]));
