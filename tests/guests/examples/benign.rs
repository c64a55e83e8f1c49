//! Attacks nothing: the host's next call, which must go as well as every other.

use hostile_guests::{guest, report};

guest!(|settings| report([format!("hello {}", settings.text("name"))]));
