//! How fast a new lease reaches its workers, what that costs the coordinator, and what happens when all come at once.
//!
//! The server is the link's own, in a process of its own, with real certificates; so that its processor time and memory
//! are its alone. The workers are bare: thousands of them in one thread, which speak the link's frames over mutual TLS 1.3
//! and do nothing else. Beside it, in the same run, by turns and with the same workers, the floor: the same bytes written
//! to the same number of TLS sessions in a loop that knows no tasks. And, if its jar is there, Apache Flink with as many
//! task managers. Read the ratios: run it with `cargo xtask bench fan-out`.
//!
//! `page` is about the live page: a real coordinator with all workers and many instances, in a browser.
//!
//! With `--servers` there are several of them, which share their authority, their workers' records and their leases, as
//! replicas do: more workers than one process may open files for.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a bench measures time, serves and connects on this machine only, and prints what it found"
)]

mod capacity;
mod child;
mod coordinator;
mod flink;
mod floor;
mod link_handler;
mod load;
mod measure;
mod page;
mod page_site;
mod process;
mod reconnect;
mod replicas;
mod replicas_report;
mod serve;
mod session;
mod table;
mod tracker;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::capacity::Capacity;

type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Servers of one run.
const MAX_SERVERS: i64 = 1000;

#[derive(Parser)]
#[command(name = "deputy-fan", about = "How fast a lease reaches its workers, beside bare TLS", max_term_width = 120)]
struct Arguments {
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// How many workers there are at the most; measured are the powers of ten up to that, and that
    #[arg(long, default_value_t = 10_000, global = true)]
    workers: usize,
    /// How often all is repeated
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many server processes there are: with more than one, all of them publish the same leases to their share of
    /// the workers, and no smaller number of workers is measured
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=MAX_SERVERS))]
    servers: u16,
    /// How many processes the workers are in; as many as are needed, and two at least
    #[arg(long, global = true)]
    loads: Option<usize>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The live page, and processes that the benchmark starts of itself. Those take orders, a line each.
#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
enum Part {
    /// The live page in Chromium, with `deputy run` and all workers; prints JSON
    Page {
        /// How many instances there are
        #[arg(long, default_value_t = 1000)]
        instances: usize,
    },
    /// The coordinator's side, and the floor
    #[command(hide = true)]
    Serve,
    /// Workers
    #[command(hide = true)]
    Load,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
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

fn run(arguments: &Arguments) -> Result {
    let capacity = Capacity::new(process::raise_files()?);
    match arguments.part {
        Some(Part::Page { instances }) => page::measure(arguments, &capacity, instances),
        Some(Part::Serve) => serve::serve(&capacity),
        Some(Part::Load) => load::load(),
        None if arguments.servers > 1 => replicas::measure(arguments, &capacity),
        None => measure::measure(arguments, &capacity),
    }
}
