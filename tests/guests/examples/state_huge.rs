//! Saves more than it may, and looks whether what it saved before is still there.

use hostile_guests::{guest, outcome, report, state};

guest!(|settings| {
    let small = outcome(state::save(b"small"));
    let huge = outcome(state::save(&vec![b's'; settings.number("bytes") as usize]));
    report([small, huge, outcome(state::load())])
});
