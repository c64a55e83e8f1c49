//! Figures, and how they are printed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Result, flink};

/// One lease on its way to all.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Push {
    /// Until half of the workers had acknowledged it, nearly all, and all, in milliseconds.
    pub(crate) half_ms: f64,
    pub(crate) most_ms: f64,
    pub(crate) all_ms: f64,
    /// The server's processor time for each worker, in microseconds. Flink's cannot be told from that of its workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_us: Option<f64>,
}

/// All figures of a run.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    pub(crate) sizes: Vec<Size>,
    pub(crate) stalled: Vec<Stalled>,
    pub(crate) storms: Vec<Storms>,
    pub(crate) memory: Vec<Memory>,
    /// The jar of Flink that was measured, if one was.
    pub(crate) flink: Option<String>,
}

/// One number of workers.
#[derive(Serialize)]
pub(crate) struct Size {
    pub(crate) workers: usize,
    pub(crate) link: Vec<Push>,
    pub(crate) floor: Vec<Push>,
    /// The medians of each round.
    pub(crate) flink: Vec<Push>,
}

/// Some of them read nothing.
#[derive(Serialize)]
pub(crate) struct Stalled {
    pub(crate) workers: usize,
    pub(crate) stalled: usize,
    pub(crate) before: Vec<Push>,
    pub(crate) after: Vec<Push>,
}

/// All come at once.
#[derive(Serialize)]
pub(crate) struct Storms {
    pub(crate) workers: usize,
    pub(crate) name: &'static str,
    pub(crate) resumed: usize,
    /// Attempts that failed and were repeated.
    pub(crate) repeated: usize,
    pub(crate) times: Vec<Push>,
}

/// What the server holds for each idle worker.
#[derive(Serialize)]
pub(crate) struct Memory {
    pub(crate) when: &'static str,
    pub(crate) bytes: f64,
}

impl Push {
    /// From the times of all acknowledgements, in order, and the processor time for all of them in nanoseconds.
    pub(crate) fn new(times: &[Duration], cpu: u64) -> Self {
        let at = |share: f64| {
            let count = (times.len() as f64 * share).ceil() as usize;
            times[count.clamp(1, times.len()) - 1].as_secs_f64() * 1e3
        };
        let cpu_us = Some(cpu as f64 / 1e3 / times.len() as f64);
        Self { half_ms: at(0.5), most_ms: at(0.99), all_ms: at(1.0), cpu_us }
    }
}

impl Size {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, link: Vec::new(), floor: Vec::new(), flink: Vec::new() }
    }
}

/// The one in the middle.
pub(crate) fn median(pushes: &[Push], of: fn(&Push) -> f64) -> f64 {
    let mut values: Vec<f64> = pushes.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Report {
    pub(crate) fn print_json(&self) -> Result {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }

    pub(crate) fn print(&self) {
        head("a new lease, until acknowledged by");
        for Size { workers, link, floor, .. } in &self.sizes {
            let base = median(floor, |push| push.all_ms);
            line(&format!("{workers} workers"), link, base);
            line("  bare rustls, the same bytes", floor, base);
        }
        println!();
        head("some of them read nothing, the others have it");
        for Stalled { workers, stalled, before, after } in &self.stalled {
            let base = median(before, |push| push.all_ms);
            line(&format!("{workers} workers, all of them well"), before, base);
            line(&format!("  {stalled} of them stalled, their buffers full"), after, base);
        }
        println!();
        head("all come at once, and have the newest");
        for Storms { workers, name, resumed, repeated, times } in &self.storms {
            let name = format!("{workers} workers, {name} ({resumed} resumed, {repeated} retries)");
            line(&name, times, median(times, |push| push.all_ms));
        }
        println!();
        for Memory { when, bytes } in &self.memory {
            println!("memory of an idle worker, {when:<40}{:>8.1} KB", bytes / 1e3);
        }
        println!();
        self.print_flink();
    }

    fn print_flink(&self) {
        let Some(jar) = &self.flink else { return println!("{}", flink::LEFT_OUT) };
        head(&format!("the same of {jar}, until received by"));
        for Size { workers, link, flink, .. } in self.sizes.iter().filter(|size| !size.flink.is_empty()) {
            let base = median(link, |push| push.all_ms);
            line(&format!("{workers} workers, as above"), link, base);
            line(&format!("  {workers} task managers of Flink"), flink, base);
        }
    }
}

pub(crate) fn head(title: &str) {
    println!("{title:<52}{:>10}{:>10}{:>10}{:>8}{:>12}", "50 %", "99 %", "all", "ratio", "CPU/worker");
}

pub(crate) fn line(name: &str, pushes: &[Push], base: f64) {
    let all = median(pushes, |push| push.all_ms);
    let [half, most] = [|push: &Push| push.half_ms, |push: &Push| push.most_ms].map(|of| median(pushes, of));
    let [half, most, shown] = [half, most, all].map(show);
    print!("  {name:<50}{half:>10}{most:>10}{shown:>10}{:>8.2}", all / base);
    if pushes.iter().all(|push| push.cpu_us.is_some()) {
        print!("{:>9.1} µs", median(pushes, |push| push.cpu_us.unwrap_or(f64::NAN)));
    }
    println!();
}

fn show(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.2} s", ms / 1000.0)
    }
}
