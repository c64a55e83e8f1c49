//! Is more than it seems: the test adds a core instance that lets its table grow for ever.

use hostile_guests::{guest, report};

guest!(|_| report(["instantiated".to_owned()]));
