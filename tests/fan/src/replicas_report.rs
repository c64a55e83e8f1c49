//! Figures of several servers, and how they are printed: each server, and all of them.

use serde::Serialize;

use crate::Result;
use crate::table::{Push, head, line, median};

/// All figures of a run.
#[derive(Serialize)]
pub(crate) struct ReplicasReport {
    workers: usize,
    /// The workers of each server.
    servers: Vec<usize>,
    loads: usize,
    pub(crate) link: Vec<Sample>,
    pub(crate) floor: Vec<Sample>,
    pub(crate) storms: Vec<Storms>,
    pub(crate) memory: Vec<Memory>,
}

/// One lease on its way to all workers.
#[derive(Serialize)]
pub(crate) struct Sample {
    pub(crate) all: Push,
    pub(crate) servers: Vec<Push>,
}

/// All come at once.
#[derive(Serialize)]
pub(crate) struct Storms {
    pub(crate) name: &'static str,
    pub(crate) resumed: usize,
    /// Attempts that failed and were repeated.
    pub(crate) repeated: usize,
    pub(crate) samples: Vec<Sample>,
}

/// What each server holds.
#[derive(Serialize)]
pub(crate) struct Memory {
    pub(crate) when: &'static str,
    pub(crate) bytes: Vec<u64>,
}

impl ReplicasReport {
    pub(crate) fn new(workers: usize, servers: Vec<usize>, loads: usize) -> Self {
        let (link, floor, storms, memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { workers, servers, loads, link, floor, storms, memory }
    }

    pub(crate) fn print_json(&self) -> Result {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }

    pub(crate) fn print(&self) {
        println!("{} workers of {} servers, in {} processes\n", self.workers, self.servers.len(), self.loads);
        let base = all_ms(&self.floor);
        head("a new lease, until acknowledged by");
        self.lines("", &self.link, base);
        self.lines("bare rustls, the same bytes: ", &self.floor, base);
        println!();
        head("all come at once, and have the newest");
        for Storms { name, resumed, repeated, samples } in &self.storms {
            self.lines(&format!("{name}: "), samples, all_ms(samples));
            println!("    {resumed} resumed, {repeated} attempts were repeated");
        }
        println!();
        println!("{:<52}{:>10}{:>10}{:>14}{:>14}", "memory of a server", "least", "most", "all servers", "idle worker");
        // The first has the records alone.
        let sum = |memory: &Memory| memory.bytes.iter().sum::<u64>() as f64;
        let records = self.memory.first().map_or(0.0, sum);
        for memory in &self.memory {
            let [least, most] = [memory.bytes.iter().min(), memory.bytes.iter().max()].map(|bytes| bytes.copied());
            let [least, most] = [least, most].map(|bytes| bytes.unwrap_or(0) as f64);
            let [least, most, all] = [least, most, sum(memory)].map(|bytes| format!("{:.1} MB", bytes / 1e6));
            let worker = (sum(memory) - records) / self.workers as f64 / 1e3;
            println!("  {:<50}{least:>10}{most:>10}{all:>14}{worker:>11.1} KB", memory.when);
        }
    }

    fn lines(&self, name: &str, samples: &[Sample], base: f64) {
        let all: Vec<Push> = samples.iter().map(|sample| sample.all).collect();
        line(&format!("{name}{} workers", self.workers), &all, base);
        for (server, workers) in self.servers.iter().enumerate() {
            let own: Vec<Push> = samples.iter().map(|sample| sample.servers[server]).collect();
            line(&format!("  server {}, {workers} workers", server + 1), &own, base);
        }
    }
}

fn all_ms(samples: &[Sample]) -> f64 {
    let all: Vec<Push> = samples.iter().map(|sample| sample.all).collect();
    median(&all, |push| push.all_ms)
}
