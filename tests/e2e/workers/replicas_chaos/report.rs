//! What a run did and saw, for people and for programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::faults::Suffered;
use super::history::History;

/// The whole run.
#[derive(Serialize)]
pub(super) struct Report {
    instances: usize,
    workers: usize,
    /// Those of them that are processes.
    processes: usize,
    seconds: u64,
    faults: Vec<Row>,
    /// From the beginning of a fault of the leader until another term began.
    takeover: Times,
    takeovers: usize,
    /// The longest time between two calls of one instance.
    longest_without_obtain_ms: u64,
    reads: u64,
    read_while_cut: usize,
    least_left_ms: u64,
    moves: usize,
    rotations: u64,
    /// Of the instance with the fewest.
    least_rotations: u64,
    obtains: usize,
    /// Beyond those whose leases were saved, and the most that takeovers may repeat.
    repeated: u64,
    may_repeat: usize,
    violations: Vec<String>,
}

/// Faults of one kind.
#[derive(Serialize)]
struct Row {
    fault: &'static str,
    times: usize,
    well: Times,
}

/// The middle one, and the worst.
#[derive(Default, Serialize)]
struct Times {
    median_ms: u64,
    worst_ms: u64,
}

impl Times {
    fn of(mut millis: Vec<u64>) -> Self {
        millis.sort_unstable();
        let median_ms = millis.get(millis.len() / 2).copied().unwrap_or(0);
        Self { median_ms, worst_ms: millis.last().copied().unwrap_or(0) }
    }
}

impl Report {
    pub(super) fn new(history: &History, suffered: &[Suffered], processes: usize, time: Duration) -> Self {
        let mut wells: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for Suffered { fault, well, .. } in suffered {
            wells.entry(fault.name()).or_default().push(u64::try_from(well.as_millis()).unwrap());
        }
        let faults = wells.into_iter().map(|(fault, wells)| Row { fault, times: wells.len(), well: Times::of(wells) });
        let ended = suffered.iter().filter(|suffered| suffered.fault.ends_the_leader());
        let takeover = ended.filter_map(|suffered| {
            let next = history.takeovers.iter().find(|takeover| **takeover >= suffered.from)?;
            Some(next - suffered.from)
        });
        let calls = history.obtains.iter().map(|obtains| obtains.began.as_slice());
        let gaps = calls.clone().flat_map(|began| began.windows(2)).map(|two| two[1].saturating_sub(two[0]));
        let rotations: u64 = history.obtains.iter().map(|obtains| obtains.revision).sum();
        let obtains = calls.map(<[u64]>::len).sum();
        Self {
            instances: history.newest.len(),
            workers: history.workers.len(),
            processes,
            seconds: time.as_secs(),
            faults: faults.collect(),
            takeover: Times::of(takeover.collect()),
            takeovers: history.takeovers.len(),
            longest_without_obtain_ms: gaps.max().unwrap_or(0),
            reads: history.reads(),
            read_while_cut: history.read_while_cut(),
            least_left_ms: history.least_left().unwrap_or(0),
            moves: history.moves(),
            rotations,
            least_rotations: history.obtains.iter().map(|obtains| obtains.revision).min().unwrap_or(0),
            obtains,
            repeated: (obtains as u64).saturating_sub(rotations),
            may_repeat: history.takeovers.len() * history.obtains.len(),
            violations: history.violations(),
        }
    }

    /// The table.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![format!(
            "{:<62}{:>6}{:>20}{:>10}",
            format!("{} instances, {} workers, {} s", self.instances, self.workers, self.seconds),
            "times",
            "until well: median",
            "worst"
        )];
        lines.extend(self.faults.iter().map(|Row { fault, times, well }| row(fault, *times, well)));
        lines.push(row("another term began, after a fault of the leader", self.takeovers, &self.takeover));
        for (name, figure) in [
            ("reads", self.reads.to_string()),
            ("credentials read at workers while they were cut off", self.read_while_cut.to_string()),
            ("workers that moved to another coordinator", self.moves.to_string()),
            ("least time left of a credential that was read", seconds(self.least_left_ms)),
            ("longest time without a call of an instance", seconds(self.longest_without_obtain_ms)),
            ("rotations", format!("{}, {} at least of each instance", self.rotations, self.least_rotations)),
            ("obtains", self.obtains.to_string()),
            ("obtains repeated", format!("{}, of {} that takeovers may repeat", self.repeated, self.may_repeat)),
            ("violations", self.violations.len().to_string()),
        ] {
            lines.push(format!("{name:<62}{figure}"));
        }
        lines.join("\n")
    }

    /// Writes it and the history for programs, and the log of the coordinators.
    pub(super) fn write(&self, history: &History, log: &str, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("report.json"), serde_json::to_string_pretty(self).unwrap() + "\n").unwrap();
        fs::write(folder.join("history.json"), serde_json::to_string(history).unwrap() + "\n").unwrap();
        fs::write(folder.join("run.log"), log).unwrap();
    }
}

fn row(name: &str, times: usize, well: &Times) -> String {
    format!("{name:<62}{times:>6}{:>20}{:>10}", seconds(well.median_ms), seconds(well.worst_ms))
}

fn seconds(millis: u64) -> String {
    format!("{:.1} s", Duration::from_millis(millis).as_secs_f64())
}
