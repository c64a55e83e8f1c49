//! Loads and saves state that it was not granted.

use hostile_guests::{guest, outcome, report, state};

guest!(|_| report([outcome(state::load()), outcome(state::save(b"canary")), outcome(state::load())]));
