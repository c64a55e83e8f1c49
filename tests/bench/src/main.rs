//! What the sandbox costs, measured beside what it is made of, and what the coordinator bears.
//!
//! Every figure is measured in one run beside the one that it is compared with, in turns, so that a busy or slow machine
//! changes both alike: the ratios are what counts. Run it with `cargo xtask bench`.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a bench measures time, serves and asks on this machine only, and prints what it found"
)]

mod bare;
mod calls;
mod contract;
mod enrolment;
mod first;
mod kerberos;
mod languages;
mod leases;
mod memory;
mod native;
mod obtains;
mod report;
mod sandboxed;
mod server;
mod takeover;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::report::Report;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

#[derive(Parser)]
#[command(name = "deputy-bench", about = "What the sandbox costs, beside what it is made of", max_term_width = 120)]
struct Arguments {
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// How many calls of each kind are timed
    #[arg(long, default_value_t = 5000)]
    calls: usize,
    /// How many times a provider is loaded
    #[arg(long, default_value_t = 20)]
    loads: usize,
    /// How many calls wait at once while memory is measured
    #[arg(long, default_value_t = 100)]
    waiting: usize,
    /// How many obtains are asked for at once
    #[arg(long, default_value_t = 1000)]
    obtains: usize,
    /// How often that, and the measuring of memory, is repeated
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many workers are enrolled; what that costs is compared with a hundredth of them
    #[arg(long, default_value_t = 100_000)]
    enrolled: usize,
    /// How many of them join, and connect
    #[arg(long, default_value_t = 200)]
    joins: usize,
    /// How many leaders are stopped, and killed
    #[arg(long, default_value_t = 10)]
    takeovers: usize,
    /// What to measure; without a name, everything but `enrolment`, `kerberos` and `takeover`, which need servers
    #[arg(value_enum)]
    measures: Vec<Measure>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What there is to measure.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// One call in a fresh instance
    Calls,
    /// Many workers in the state of a coordinator
    Enrolment,
    /// The first call of a process
    First,
    /// Tokens of Hadoop's services and Kafka, by Kerberos
    Kerberos,
    /// The example in five languages
    Languages,
    /// Many instances kept by a coordinator
    Leases,
    /// Memory of waiting calls
    Memory,
    /// Many obtains at once
    Obtains,
    /// Another one of three coordinators begins to lead
    Takeover,
}

/// Processes that the bench starts of itself.
#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
enum Part {
    /// Compiles a component with limits
    #[command(hide = true)]
    CompileChild { memory: u64, seconds: u64 },
    /// Measures a coordinator on a filled state in a fresh process
    #[command(hide = true)]
    EnrolmentChild { kind: enrolment::StoreKind, at: String, repetitions: usize },
    /// Becomes a login to Kerberos
    #[command(hide = true)]
    KerberosLogin,
    /// Measures the memory of waiting calls in a fresh process
    #[command(hide = true)]
    MemoryChild { what: memory::What, waiting: usize, port: u16, holding: u16, state: PathBuf },
    /// Serves what STS and an OAuth 2.0 server answer
    #[command(hide = true)]
    Serve,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(Part::CompileChild { memory, seconds }) = arguments.part {
        return Ok(deputy_sandbox::compile_child(memory, seconds));
    }
    if let Some(Part::KerberosLogin) = arguments.part {
        return Ok(deputy_kerberos::login_process());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &arguments.part {
            Some(Part::CompileChild { .. } | Part::KerberosLogin) => {}
            Some(Part::EnrolmentChild { kind, at, repetitions }) => {
                let place = enrolment::Place { kind: *kind, at: at.clone() };
                enrolment::child(&place, *repetitions).await?;
            }
            Some(Part::MemoryChild { what, waiting, port, holding, state }) => {
                memory::measure(*what, *waiting, *port, *holding, state).await?;
            }
            Some(Part::Serve) => server::serve().await?,
            None => measure(arguments).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn measure(arguments: &Arguments) -> Result {
    let mut report = Report::default();
    let all = Measure::value_variants().iter();
    let is_chosen = |measure: &&Measure| match arguments.measures.as_slice() {
        [] => !matches!(measure, Measure::Enrolment | Measure::Kerberos | Measure::Takeover),
        chosen => chosen.contains(measure),
    };
    for measure in all.filter(is_chosen) {
        match measure {
            Measure::Calls => calls::measure(&mut report, arguments.calls).await?,
            Measure::Enrolment => enrolment::measure(&mut report, arguments.enrolled, arguments.joins).await?,
            Measure::First => first::measure(&mut report, arguments.loads).await?,
            Measure::Kerberos => kerberos::measure(&mut report, arguments.obtains.min(200), arguments.rounds).await?,
            Measure::Languages => languages::measure(&mut report, arguments.loads).await?,
            Measure::Leases => leases::measure(&mut report, arguments.rounds).await?,
            Measure::Memory => memory::compare(&mut report, arguments.waiting, arguments.rounds).await?,
            Measure::Obtains => obtains::measure(&mut report, arguments.obtains, arguments.rounds).await?,
            Measure::Takeover => takeover::measure(&mut report, arguments.takeovers).await?,
        }
    }
    if arguments.json {
        report.print_json()?
    } else {
        report.print()
    }
    Ok(())
}
