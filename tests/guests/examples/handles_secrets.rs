//! Opens a granted secret thousands of times and closes none.

use hostile_guests::secrets::open;
use hostile_guests::{guest, report};

guest!(|settings| {
    let held: Vec<_> = (0..100_000).map(|_| open(&settings.text("secret"))).collect();
    report([held.iter().filter(|secret| secret.is_ok()).count().to_string()])
});
