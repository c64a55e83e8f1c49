//! How long a request of an operator or a worker waits for a state that other coordinators use, too, and what is said after that.

use std::time::Duration;

pub(crate) const STATE_ANSWER: Duration = Duration::from_secs(2);

pub(crate) const UNANSWERED: &str = "the state does not answer";
