//! Brings back more than it may.

use hostile_guests::{bring, guest};

guest!(|settings| bring(vec![b'x'; settings.number("bytes") as usize]));
