//! What goes wrong while `deputy run` keeps leases: processes, disks, servers, clocks. All of it is real.
#![expect(clippy::print_stderr, reason = "a test says what it saw: its seed, and how near to a limit it came")]

mod clocks;
mod damage;
mod disk;
mod fleet;
pub(crate) mod kills;
pub(crate) mod log;
pub(crate) mod namespace;
pub(crate) mod network;
mod outage;
mod samples;
mod stand_in;
mod stops;
mod throttle;
