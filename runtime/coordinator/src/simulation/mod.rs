//! Whole histories of two or three coordinators on one etcd, from a seed.
//!
//! Each coordinator is the real schedule with the real writing and reading of leases, the real requests to etcd and judgement
//! of its answers, and the real times of a lock's holder, on a machine with clocks of its own. Machines are stopped and
//! suspended, often for longer than a lock lasts, and go on with what they had under way; processes are killed and stopped;
//! requests and answers are slow, late, lost and repeated; etcd has no quorum; workers change from one coordinator to another.
//! Those that follow read what the leader saved as the real ones do, and serve it.
//! So two coordinators believe that they lead. [`checks`] has what must hold nevertheless.
//!
//! `DEPUTY_REPLICAS_HISTORIES=100000` runs that many, `DEPUTY_REPLICAS_SEED=17` replays one and prints all of it.

#![expect(clippy::print_stdout, reason = "a test says what it ran, and prints a history that is replayed")]

mod checks;
mod clock;
mod counts;
mod etcd;
mod faults;
mod follower;
mod leader;
mod lifecycle;
mod machine;
mod network;
mod service;
mod store;
mod unsaved;
mod workers;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use counts::Counts;
use world::{HistoryLog, SimulatedWorld};

/// What the ordinary run takes, within some seconds on two cores without optimisation.
const HISTORIES: u64 = 300;

/// What a failure shows of the log.
const TAIL: usize = 60;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")))
}

#[test]
fn replicas_invariants_hold_in_every_history() {
    if let Some(seed) = number("DEPUTY_REPLICAS_SEED") {
        SimulatedWorld::new(seed, HistoryLog::Printed).run();
        return;
    }
    let histories = number("DEPUTY_REPLICAS_HISTORIES").unwrap_or(HISTORIES);
    let all = Mutex::new(Counts::default());
    let broken = Mutex::new(None);
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (all, broken) = (&all, &broken);
            scope.spawn(move || {
                let mut counts = Counts::default();
                for seed in (thread..histories).step_by(threads as usize) {
                    if broken.lock().unwrap().is_some() {
                        break;
                    }
                    match catch_unwind(AssertUnwindSafe(|| SimulatedWorld::new(seed, HistoryLog::None).run())) {
                        Ok(seen) => counts.add(&seen),
                        Err(_) => *broken.lock().unwrap() = Some(seed),
                    }
                }
                all.lock().unwrap().add(&counts);
            });
        }
    });
    if let Some(seed) = broken.into_inner().unwrap() {
        panic!("{}", tale(seed));
    }
    let counts = all.into_inner().unwrap();
    println!("{histories} histories: {counts:?}");
    if histories >= HISTORIES {
        counts.assert_enough(histories);
    }
}

/// The end of a history that broke, run again with a log.
fn tale(seed: u64) -> String {
    let mut world = SimulatedWorld::new(seed, HistoryLog::Kept(Vec::new()));
    let again = catch_unwind(AssertUnwindSafe(|| world.run()));
    let why = match &again {
        Ok(_) => "it held when it was run again, which must not be: what is not from the seed?".to_owned(),
        Err(why) => why
            .downcast_ref::<String>()
            .cloned()
            .or(why.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default(),
    };
    let HistoryLog::Kept(lines) = &world.log else { panic!("the log is kept") };
    let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
    format!(
        "{tail}\n\nseed {seed} broke after {} ms: {why}\n\
         DEPUTY_REPLICAS_SEED={seed} cargo test -p deputy-coordinator --lib replicas -- --nocapture\n",
        world.truth
    )
}
