//! Is more than it seems: the test adds core instances, each with a memory that is within the limit.

use hostile_guests::{guest, report};

guest!(|_| report(["instantiated".to_owned()]));
