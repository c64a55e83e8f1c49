//! A component against a script: what `deputy test` does.
//!
//! A [`ScriptFile`] has a component with its grant, servers that answer by the script, a clock, a seed, mock secrets, and
//! calls with what is expected of each. [`TestStage`] is the world that the component finds: names that resolve to the
//! script's addresses, and addresses that lead to listeners on loopback. Grant, limits and sender are those of the
//! sandbox. [`Recording`] makes a file of calls against real servers. [`ScriptRunner`] makes the calls and compares what came of them; what differs is a [`Mismatch`].
//!
//! **Never** lets a component reach anything but the script's own listeners, waits without a bound, prints, or knows the
//! command line.

mod conformance;
mod file;
mod mismatch;
mod outcome;
mod record;
mod renewal;
mod report;
mod runner;
mod script_error;
mod stage;
mod subject;
mod tokens;
mod uses;
mod verdict;

pub use file::{ScriptFile, find_scripts};
pub use mismatch::Mismatch;
pub use record::{RecordError, RecordedFunction, RecordedInstance, RecordedWorld, Recording};
pub use report::{CallReport, ScriptReport, junit};
pub use runner::ScriptRunner;
pub use script_error::ScriptError;
pub use stage::TestStage;
