//! Looks up names: a way to ask about the inner network, and to tell the outside.

use hostile_guests::sockets::resolve;
use hostile_guests::{guest, outcome, report};

guest!(|settings| report(settings.lines("names").iter().map(|name| outcome(resolve(name)))));
