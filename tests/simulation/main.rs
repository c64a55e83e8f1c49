//! Whole histories of the schedule, from a seed: random configurations, outcomes and delays of calls, failing and slow
//! disks, crashes between any two actions, reloads, wishes, demand, and clocks that drift, are set and sleep. After
//! every event all that must always hold is checked; when the faults end, every instance promptly gets a valid lease.
//!
//! What holds is in a file for each subject: budgets (`budget`), rates of an instance (`rates`), the pace of a
//! throttled account (`pace`), turns and pauses (`waits`), places for calls (`places`),
//! retries (`backoff`), what is kept and revoked (`leases`), what is saved (`saves`), what changes (`changes`) and
//! leaves (`removal`), what is given out and taken back (`checks`, `demand`), clocks
//! that were set (`jumps`), and recovery after an outage (`calm`). Each repeats the rule from the schedule's documentation
//! by itself, so a rule that is broken there fails here.
//!
//! `DEPUTY_SIMULATION_HISTORIES=100000` runs that many, `DEPUTY_SIMULATION_SEED=17` replays one and prints all of it.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a simulation stops where something does not hold, and prints how it came to that"
)]

mod backoff;
mod budget;
mod calm;
mod changes;
mod checks;
mod clocks;
mod counts;
mod demand;
mod faults;
mod generate;
mod history;
mod jumps;
mod leases;
mod loops;
mod pace;
mod places;
mod rates;
mod removal;
mod saves;
mod service;
mod shell;
mod waits;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use counts::Counts;
use history::{History, Log};

/// What the ordinary run takes, within about 20 seconds on two cores without optimisation.
const HISTORIES: u64 = 1000;

/// What a failure shows of the log.
const TAIL: usize = 60;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")))
}

#[test]
fn simulation_invariants_hold_in_every_history() {
    if let Some(seed) = number("DEPUTY_SIMULATION_SEED") {
        History::new(seed, Log::Printed).run();
        return;
    }
    let histories = number("DEPUTY_SIMULATION_HISTORIES").unwrap_or(HISTORIES);
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
                    match catch_unwind(AssertUnwindSafe(|| History::new(seed, Log::None).run())) {
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
    let mut history = History::new(seed, Log::Kept(Vec::new()));
    let again = catch_unwind(AssertUnwindSafe(|| history.run()));
    let why = match &again {
        Ok(_) => "it held when it was run again, which must not be: what is not from the seed?".to_owned(),
        Err(why) => why
            .downcast_ref::<String>()
            .cloned()
            .or(why.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default(),
    };
    let lines = history.log.lines();
    let tail = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n");
    format!(
        "{tail}\n\nseed {seed} broke at step {}: {why}\n\
         DEPUTY_SIMULATION_SEED={seed} cargo test -p deputy-core --test simulation -- --nocapture\n",
        history.step
    )
}
