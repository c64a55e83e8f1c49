//! Passes a list of 200,000 headers to the host: many small things instead of one large.

use hostile_guests::wasip2::http::types::Fields;
use hostile_guests::{guest, outcome, report};

guest!(|_| {
    let entries: Vec<_> = (0..200_000).map(|n| (format!("x-{n}"), b"value-of-some-length".to_vec())).collect();
    report([outcome(Fields::from_list(&entries).map(drop))])
});
