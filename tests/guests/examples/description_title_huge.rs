//! Has a title of a mebibyte.

use hostile_guests::described;
use hostile_guests::described::property;

described!(
    about: || vec![property("title", "t".repeat(1 << 20))],
    known_settings: || Vec::new(),
    wants: |_| Ok(Vec::new())
);
