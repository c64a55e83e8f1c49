//! What enrolment costs with many workers in the state, beside a hundredth of them: reading all records at the start, a
//! join, a page of the list, and a connection. In both stores.
//!
//! A process of its own measures each, so that nothing that filling the state left behind hides what the records take.

mod child;
mod state;

use std::env;

use clap::ValueEnum;
use deputy_test_servers::Etcd;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

pub(crate) use self::child::measure as child;
use crate::Result;
use crate::report::{Report, Unit};

/// The kind of a store.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum StoreKind {
    Directory,
    Etcd,
}

/// A state: the path of a directory, or the address of one member of etcd.
pub(crate) struct Place {
    pub(crate) kind: StoreKind,
    pub(crate) at: String,
}

/// The number of workers is compared with this part of it.
const PART: usize = 100;

/// Times in microseconds, and the memory of all records in KiB.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    open: Vec<f64>,
    memory: f64,
    join: Vec<f64>,
    first_page: Vec<f64>,
    middle_page: Vec<f64>,
    empty_page: Vec<f64>,
    connect: Vec<f64>,
    connect_beside_pages: Vec<f64>,
}

pub(crate) async fn measure(report: &mut Report, workers: usize, repetitions: usize) -> Result {
    for kind in [StoreKind::Directory, StoreKind::Etcd] {
        let folder = tempfile::tempdir()?;
        let etcd = match kind {
            StoreKind::Directory => None,
            StoreKind::Etcd => Some(Etcd::start(&[])?),
        };
        let at = match &etcd {
            None => folder.path().join("state").display().to_string(),
            Some(etcd) => etcd.endpoints().join(""),
        };
        let place = Place { kind, at };
        let (mut measured, mut filled) = (Vec::new(), 0);
        for workers in [(workers / PART).max(1), workers] {
            state::fill(&*state::open(&place).await?, filled..workers).await?;
            filled = workers;
            measured.push((workers, place.measure(repetitions).await?));
            eprintln!("{workers} workers in {} were measured", place.name());
        }
        add(report, &place, &measured);
    }
    Ok(())
}

impl Place {
    fn name(&self) -> &'static str {
        match self.kind {
            StoreKind::Directory => "a directory",
            StoreKind::Etcd => "etcd",
        }
    }

    /// Has a process of its own measure.
    async fn measure(&self, repetitions: usize) -> Result<Figures> {
        let kind = self.kind.to_possible_value().ok_or("no such kind")?;
        let child = Command::new(env::current_exe()?)
            .args(["enrolment-child", kind.get_name(), &self.at, &repetitions.to_string()])
            .stderr(std::process::Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await?;
        if !child.status.success() {
            return Err("the measuring process failed".into());
        }
        Ok(serde_json::from_slice(&child.stdout)?)
    }
}

/// What is measured, each beside the same with fewer workers.
fn add(report: &mut Report, place: &Place, measured: &[(usize, Figures)]) {
    type Of = fn(&Figures) -> &Vec<f64>;
    let measures: [(&str, Of); 7] = [
        ("reading all records at the start", |figures| &figures.open),
        ("a worker joins", |figures| &figures.join),
        ("the first page of 100 workers", |figures| &figures.first_page),
        ("a page of 100 workers from the middle", |figures| &figures.middle_page),
        ("a page of workers that are connected; none is", |figures| &figures.empty_page),
        ("a worker connects", |figures| &figures.connect),
        ("a worker connects while pages are listed", |figures| &figures.connect_beside_pages),
    ];
    for (title, of) in measures {
        let section = report.section(format!("{title}, in {}", place.name()));
        for (workers, figures) in measured {
            section.add(&format!("{workers} workers"), Unit::Micros, of(figures).clone());
        }
    }
    let section = report.section(format!("memory of the records, in {}", place.name()));
    for (workers, figures) in measured {
        section.add(&format!("{workers} workers"), Unit::Kib, vec![figures.memory]);
    }
}
