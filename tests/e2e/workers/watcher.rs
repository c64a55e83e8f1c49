//! Reads what workers publish every few milliseconds, as a workload might, and accepts nothing but whole and
//! good units.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::unit::{Payload, Unit, now};

const PACE: Duration = Duration::from_millis(3);

/// For how long a machine that is busy may keep the watcher itself from looking, between a file and its clock.
const BLINK: u128 = 500;

/// Watches from its beginning until it is asked what it saw, or dropped.
pub(crate) struct Watcher {
    done: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    watching: Option<JoinHandle<Result<Seen, String>>>,
}

/// What was seen of one receiver's place.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) looks: usize,
    /// The numbers of each instance's payloads, in the order in which they came.
    pub(crate) numbers: BTreeMap<String, Vec<u64>>,
}

impl Watcher {
    /// Of a receiver's place. From when the first unit is there, one always is, it is whole, no instance goes back or away,
    /// and nothing in it has expired. It has looked once when this comes back: what is there now was seen.
    pub(crate) fn of(link: PathBuf) -> Self {
        let (done, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ended, looked) = (Arc::clone(&done), Arc::clone(&looks));
        let watching = thread::spawn(move || {
            let mut seen = Seen::default();
            loop {
                // What is there when it is asked was seen.
                let is_last = ended.load(Ordering::Relaxed);
                let unit = Unit::read(&link).map_err(|error| format!("{}: {error}", link.display()))?;
                seen.look(unit).map_err(|what| format!("{}, look {}: {what}", link.display(), seen.looks))?;
                looked.fetch_add(1, Ordering::Relaxed);
                if is_last {
                    return Ok(seen);
                }
                thread::sleep(PACE);
            }
        });
        let watcher = Self { done, looks, watching: Some(watching) };
        // One that ended has seen something wrong, and says so when it is asked.
        while watcher.looks() == 0 && !watcher.watching.as_ref().is_some_and(JoinHandle::is_finished) {
            thread::sleep(PACE);
        }
        watcher
    }

    /// How often it has looked.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    /// Ends it; fails if it saw what must not be seen.
    #[track_caller]
    pub(crate) fn saw(mut self) -> Seen {
        self.done.store(true, Ordering::Relaxed);
        match self.watching.take().unwrap().join().unwrap() {
            Ok(seen) => seen,
            Err(what) => panic!("{what}"),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

impl Seen {
    fn look(&mut self, unit: Option<Unit>) -> Result<(), String> {
        let Some(unit) = unit else {
            return if self.numbers.is_empty() { Ok(()) } else { Err("nothing is there any more".to_owned()) };
        };
        let payloads = unit.payloads()?;
        if let Some(gone) = self.numbers.keys().find(|name| !payloads.contains_key(*name)) {
            return Err(format!("{gone} is gone"));
        }
        let time = now().as_millis();
        for Payload { instance, number, until } in payloads.into_values() {
            if until + BLINK < time {
                return Err(format!("{instance} {number} ended {} ms ago", time - until));
            }
            let numbers = self.numbers.entry(instance.clone()).or_default();
            match numbers.last() {
                Some(last) if *last > number => return Err(format!("{instance} went from {last} back to {number}")),
                Some(last) if *last == number => {}
                _ => numbers.push(number),
            }
        }
        self.looks += 1;
        Ok(())
    }

    /// How many different payloads were seen of all instances.
    pub(crate) fn rotations(&self) -> usize {
        self.numbers.values().map(Vec::len).sum()
    }
}
