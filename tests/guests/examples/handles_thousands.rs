//! Makes thousands of resources and drops none.

use hostile_guests::wasip2::http::types::Fields;
use hostile_guests::{guest, report};

guest!(|_| {
    let held: Vec<_> = (0..100_000).map(|_| Fields::new()).collect();
    report([held.len().to_string()])
});
