//! Saves state a million times; each save would be a write to the disk.

use hostile_guests::{guest, report, state};

guest!(|_| {
    let mut denied = 0;
    for n in 0..1_000_000u32 {
        denied += u32::from(state::save(&n.to_le_bytes()).is_err());
    }
    report([format!("{denied} denied")])
});
