//! Obtains as a test's server tells it to, and can do nothing else.

use hostile_guests::guest;
use hostile_guests::script::ask;

guest!(|settings| ask(settings, "obtain", None).map(|tokens| tokens.expect("a payload in the script")));
