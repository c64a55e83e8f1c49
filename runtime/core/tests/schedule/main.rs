//! The rules of the schedule, each with a test: the harness is `tests/support`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what is not as it should be ends the test"
)]

mod attention;
mod budgets;
mod clocks;
mod demand;
mod detach;
mod expiry;
mod files;
mod left_behind;
mod parallel;
mod pauses;
mod rate;
mod reload;
mod removal;
mod renewal;
mod restore;
mod retry;
mod revocation;
mod revocation_owner;
mod rotation;
mod saving;
mod state;
mod stop;
mod unsaved;
