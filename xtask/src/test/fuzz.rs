//! Each fuzz target for a short while: long enough to find what a change broke, not to find new faults.

use std::fs;

use serde_json::Value;

use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::Step;
use crate::workspace::{Workspace, metadata};

/// How long each target runs.
const SECONDS: u32 = 10;

/// How many inputs each target tries at the least: fewer, and something holds it up.
const LEAST: u64 = 1000;

/// Configurations to begin with, and those of workers among them.
const SAMPLES: [(&str, &str); 2] = [("config", "runtime/config/samples"), ("worker", "runtime/config/samples/worker")];

/// Builds and runs them all.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let folder = workspace.path("tests/fuzz");
    let targets = targets(&metadata(&folder.join("Cargo.toml"))?);
    if targets.is_empty() {
        return Err(Failure::new("tests/fuzz has no targets"));
    }
    // libFuzzer's counters need options that stable Rust keeps for itself; its sanitizers are not needed for safe code.
    Run::new(workspace.tool("cargo-fuzz"))
        .args(["fuzz", "build", "--sanitizer", "none", "--fuzz-dir"])
        .arg(&folder)
        .arg("--target-dir")
        .arg(workspace.target("fuzz"))
        .env("RUSTC_BOOTSTRAP", "1")
        .dir(&folder)
        .quiet()
        .map_err(|failure| failure.hint("a C++ compiler is needed: `apt-get install g++` or your system's like"))?;
    let host = host()?;
    for target in targets {
        let step = Step::silent("fuzz");
        let corpus = workspace.target("fuzz-corpus").join(&target);
        fs::create_dir_all(&corpus).doing(|| format!("making the folder {}", corpus.display()))?;
        let run = Run::new(workspace.target("fuzz").join(&host).join("release").join(&target)).arg(&corpus);
        let samples = SAMPLES.iter().find(|(name, _)| *name == target).map(|(_, samples)| workspace.path(samples));
        let seeds = samples.unwrap_or_else(|| folder.join("seeds").join(&target));
        if !seeds.is_dir() {
            return Err(Failure::new(format!("the fuzz target {target} has no seeds in {}", workspace.shown(&seeds))));
        }
        let said = run
            .arg(&seeds)
            .args([&format!("-max_total_time={SECONDS}"), "-timeout=5", "-rss_limit_mb=1024"])
            .arg(format!("-artifact_prefix={}/", workspace.target("fuzz-corpus").display()))
            .quiet_stderr()
            .map_err(|failure| {
                failure.hint(format!(
                    "the input that did it lies in {}",
                    workspace.shown(&workspace.target("fuzz-corpus"))
                ))
            })?;
        let tried = tried(&said).unwrap_or(0);
        if tried < LEAST {
            return Err(Failure::new(format!("the fuzz target {target} tried {tried} inputs, of at least {LEAST}")));
        }
        step.end(format!("{target}: {tried} inputs, no fault"));
    }
    Ok(())
}

fn targets(metadata: &Value) -> Vec<String> {
    let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let targets = packages.filter_map(|package| package.get("targets").and_then(Value::as_array)).flatten();
    let is_program = |target: &&Value| target.get("kind").is_some_and(|kind| kind.to_string().contains("\"bin\""));
    let names = targets.filter(is_program).filter_map(|target| target.get("name").and_then(Value::as_str));
    names.map(str::to_owned).collect()
}

/// The machine's own target, by which cargo-fuzz names a folder.
fn host() -> Result<String> {
    let version = Run::new("rustc").arg("-vV").quiet()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`rustc -vV` names no host"))
}

/// The number in `Done 6340421 runs in 6 second(s)`.
fn tried(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.strip_prefix("Done ")?.split(' ').next()?.parse().ok())
}
