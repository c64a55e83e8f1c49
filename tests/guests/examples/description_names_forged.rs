//! Reads a setting whose name would act on a terminal.

use hostile_guests::described;
use hostile_guests::described::described as setting;

described!(
    about: || Vec::new(),
    known_settings: || vec![setting("region\u{1b}[8m", "the region")],
    wants: |_| Ok(Vec::new())
);
