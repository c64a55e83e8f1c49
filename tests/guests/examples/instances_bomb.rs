//! Is more than it seems: the test adds nine hundred core instances, which no compiler would write.

use hostile_guests::{guest, report};

guest!(|_| report(["instantiated".to_owned()]));
