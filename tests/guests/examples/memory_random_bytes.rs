//! Has the host make more random bytes than there is memory.

use hostile_guests::wasip2::random::random::get_random_bytes;
use hostile_guests::{guest, report};

guest!(|_| report([get_random_bytes(1 << 62).len().to_string()]));
