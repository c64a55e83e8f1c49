//! Figures, and how they are printed.

use std::time::Duration;

use serde::Serialize;

use crate::Result;

/// All figures of a run.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    sections: Vec<Section>,
}

/// Figures that are compared with each other.
#[derive(Serialize)]
pub(crate) struct Section {
    title: String,
    rows: Vec<Row>,
}

/// One thing that was measured.
#[derive(Serialize)]
struct Row {
    name: String,
    samples: usize,
    unit: Unit,
    min: f64,
    median: f64,
    p99: f64,
    /// The median over the median of the section's first row.
    ratio: f64,
}

/// What a figure counts.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    Count,
    Kib,
    Micros,
    /// Operations in a second.
    PerSecond,
}

impl Report {
    /// Begins a section. Its first row is the one that the others are compared with.
    pub(crate) fn section(&mut self, title: impl Into<String>) -> &mut Section {
        self.sections.push(Section { title: title.into(), rows: Vec::new() });
        let last = self.sections.len() - 1;
        &mut self.sections[last]
    }

    pub(crate) fn print_json(&self) -> Result {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }

    pub(crate) fn print(&self) {
        for section in &self.sections {
            println!("{:<68}{:>10}{:>10}{:>10}{:>8}", section.title, "min", "median", "p99", "ratio");
            for row in &section.rows {
                let [min, median, p99] = [row.min, row.median, row.p99].map(|value| row.unit.show(value));
                println!("  {:<66}{min:>10}{median:>10}{p99:>10}{:>8.2}", row.name, row.ratio);
            }
            println!();
        }
    }
}

impl Section {
    /// Adds times.
    pub(crate) fn times(&mut self, name: &str, times: &[Duration]) {
        self.add(name, Unit::Micros, times.iter().map(|time| time.as_secs_f64() * 1e6).collect());
    }

    /// Adds samples of any kind.
    pub(crate) fn add(&mut self, name: &str, unit: Unit, mut samples: Vec<f64>) {
        samples.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (samples.len() as f64 * share) as usize;
            samples.get(index.min(samples.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
        };
        let (min, median, p99) = (at(0.0), at(0.5), at(0.99));
        let base = self.rows.first().map_or(median, |row| row.median);
        let samples = samples.len();
        self.rows.push(Row { name: name.to_owned(), samples, unit, min, median, p99, ratio: median / base });
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Count => format!("{value:.0}"),
            Self::Kib if value < 10_240.0 => format!("{value:.0} KiB"),
            Self::Kib => format!("{:.1} MiB", value / 1024.0),
            Self::Micros if value < 1.0 => format!("{:.0} ns", value * 1e3),
            Self::Micros if value < 1e3 => format!("{value:.1} µs"),
            Self::Micros if value < 1e6 => format!("{:.2} ms", value / 1e3),
            Self::Micros => format!("{:.2} s", value / 1e6),
            Self::PerSecond => format!("{value:.0} /s"),
        }
    }
}
