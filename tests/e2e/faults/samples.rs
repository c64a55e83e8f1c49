//! Polls the status while a test does something.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use deputy_coordinator::status::CoordinatorStatus;
use deputy_test_harness::exit;

use super::fleet::Fleet;

/// What was answered, if anything was.
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) status: Option<CoordinatorStatus>,
}

/// Does something while the status is asked for at this pace, and gives all answers.
pub(crate) fn while_asking<T>(fleet: &Fleet, pace: Duration, work: impl FnOnce() -> T) -> (T, Vec<Sample>) {
    /// Ends the questions also when the work panics.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut samples = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let at = Instant::now();
                let run = fleet.run_command(&["status", "--json"]);
                samples.push(Sample { at, status: (run.code == Some(exit::OK)).then(|| run.parsed()) });
                thread::sleep(pace.saturating_sub(at.elapsed()));
            }
            samples
        });
        let end = Done(&done);
        let worked = work();
        drop(end);
        (worked, asking.join().unwrap())
    })
}

impl Sample {
    /// Each instance's name, and for how long its lease is good: less than nothing if it ended, none if it has none.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (&str, Option<i64>)> {
        let instances = self.status.iter().flat_map(|status| &status.instances);
        instances.map(|instance| (instance.name.as_str(), instance.lease.as_ref().and_then(|lease| lease.valid_for_ms)))
    }
}
