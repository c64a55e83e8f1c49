//! The project's chores, called as `cargo xtask <command>`.
//!
//! Whatever a chore installs or builds goes below Cargo's target directory: nothing here changes the machine.
//! Each step says one line on stderr; what is already there is left alone.
#![expect(clippy::disallowed_methods, reason = "a chore reads and writes this tree and target/")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a chore talks to the person who called it")]

mod bench;
mod demo;
mod digest;
mod dist;
mod failure;
mod guests;
mod process;
mod proto;
mod reference;
mod say;
mod schema;
mod test;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Result;
use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's chores", max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measures how fast it is, as ratios from one run
    Bench {
        /// The benches to run, and their options; without one all but `chaos`, `enrolment`, `fan-out`, `kerberos`, `page`
        /// and `takeover`; `--help` lists them
        #[arg(value_name = "NAME", trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Obtains real S3 credentials with a sandboxed provider, and uses them
    Demo {
        /// What to show instead: `hadoop`, tokens of HDFS, KMS, YARN, HBase, Hive and Kafka with a real KDC; `replicas`, three
        /// coordinators on one state in etcd, while one is killed
        #[arg(value_enum)]
        what: Option<demo::Show>,
    },
    /// Makes a release: an archive with the program and all connectors, and a Debian package, in `target/dist`
    Dist {
        /// How the program is built: `dist` takes half an hour, `dev` packs what a test or build left
        #[arg(long, value_enum, default_value = "dist")]
        profile: dist::Profile,
        /// The machines that it is for
        #[arg(long, value_enum, default_value = "x86_64")]
        machine: dist::Machine,
    },
    /// Builds every guest component into `target/guests`
    Guests,
    /// Generates the Rust types of messages from `link.proto`, `etcd.proto` and `otlp.proto`
    Proto,
    /// Makes the tables of settings in docs/ of what the connectors say about themselves
    Reference,
    /// Generates the JSON Schemas of deputy.toml and worker.toml, and of what commands print
    Schema,
    /// Runs every check and every test
    Test {
        /// Runs this part and no other; may be given more than once
        #[arg(long, value_enum)]
        only: Vec<test::Part>,
    },
    /// Checks that the tree is as ARCHITECTURE.md says
    Tidy,
    /// Installs the test servers and tools into `target/tools`
    Tools,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{}", failure.report());
            ExitCode::FAILURE
        }
    }
}

fn run(chore: &Chore) -> Result<()> {
    let workspace = Workspace::find()?;
    match chore {
        Chore::Bench { arguments } => bench::run(&workspace, arguments),
        Chore::Demo { what: None } => demo::run(&workspace),
        Chore::Demo { what: Some(demo::Show::Hadoop) } => demo::hadoop::run(&workspace),
        Chore::Demo { what: Some(demo::Show::Replicas) } => demo::replicas::run(&workspace),
        Chore::Dist { profile, machine } => dist::run(&workspace, *profile, *machine),
        Chore::Guests => guests::build(&workspace),
        Chore::Proto => proto::generate(&workspace),
        Chore::Reference => reference::generate(&workspace),
        Chore::Schema => schema::generate(&workspace),
        Chore::Test { only } => test::run(&workspace, only),
        Chore::Tidy => tidy::check(&workspace),
        Chore::Tools => tools::install(&workspace),
    }
}
