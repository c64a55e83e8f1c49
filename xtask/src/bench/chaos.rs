//! `cargo xtask bench chaos`: the test of several coordinators that fail one after the other, with 21 instances and 50 workers,
//! until each instance has had 200 leases.

use std::fs;

use clap::Parser;

use crate::failure::{Doing, Result};
use crate::process::Run;
use crate::workspace::Workspace;
use crate::{guests, tools};

/// The test, which takes its size from its environment.
const TEST: &str = "workers::replicas_chaos::replicas_chaos_keeps_every_credential_good";

#[derive(Parser)]
#[command(
    name = "cargo xtask bench chaos",
    about = "Kills, pauses and partitions coordinators and members of etcd while workers read",
    max_term_width = 120
)]
struct Arguments {
    /// How many leases each instance has had at the end; one takes two seconds, and longer while there is no leader
    #[arg(long, default_value_t = 200)]
    rotations: u64,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let program = "cargo xtask bench chaos".to_owned();
    let arguments = Arguments::parse_from([program].iter().chain(arguments));
    tools::install_etcd(workspace)?;
    guests::build(workspace)?;
    let folder = workspace.target("chaos");
    let report = folder.join("report.json");
    drop(fs::remove_file(&report));
    let test = Run::new("cargo")
        .args([
            "test",
            "--locked",
            "--quiet",
            "--package",
            "deputy",
            "--test",
            "e2e",
            "--",
            "--exact",
            "--nocapture",
            TEST,
        ])
        .env("DEPUTY_CHAOS_REPORT", &folder)
        .env("DEPUTY_CHAOS_ROTATIONS", arguments.rotations.to_string())
        .env("DEPUTY_GUESTS", workspace.guests())
        .env("DEPUTY_TOOLS", workspace.tools())
        .dir(workspace.root());
    // What it did and found is on stderr.
    let outcome = test.lines(|_| {});
    let text = fs::read_to_string(&report).doing(|| format!("reading {}", report.display()));
    if let Ok(text) = &text
        && arguments.json
    {
        print!("{text}");
    }
    outcome.and(text.map(drop))
}
