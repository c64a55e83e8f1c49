//! Each fuzz target for a short while: long enough to find what a change broke, not to find new faults.

use std::fs;
use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::say::Step;
use crate::workspace::{Workspace, metadata};

/// How long a round of a target lasts.
const SECONDS: u32 = 5;

/// How many targets run at once. Each keeps one processor busy.
const LANES: usize = 2;

/// How many inputs each target tries at the least. A disk that is slow to bring the corpus can cost a whole round.
const LEAST: u64 = 1000;

/// How many rounds a target has to try them: fewer inputs in all of these, and something holds it up.
const ROUNDS: u32 = 6;

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
    let programs = workspace.target("fuzz").join(host()?).join("release");
    let lanes: Vec<Vec<&String>> = (0..LANES).map(|lane| targets.iter().skip(lane).step_by(LANES).collect()).collect();
    thread::scope(|scope| {
        let running: Vec<_> = lanes
            .into_iter()
            .map(|lane| scope.spawn(|| lane.into_iter().try_for_each(|target| fuzz(workspace, &programs, target))))
            .collect();
        let ended =
            running.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err(Failure::new("fuzzing panicked"))));
        ended.fold(Ok(()), Result::and)
    })
}

fn fuzz(workspace: &Workspace, programs: &Path, target: &str) -> Result<()> {
    let step = Step::silent("fuzz");
    let corpus = workspace.target("fuzz-corpus").join(target);
    fs::create_dir_all(&corpus).doing(|| format!("making the folder {}", corpus.display()))?;
    let samples = SAMPLES.iter().find(|(name, _)| *name == target).map(|(_, samples)| workspace.path(samples));
    let seeds = samples.unwrap_or_else(|| workspace.path("tests/fuzz/seeds").join(target));
    if !seeds.is_dir() {
        return Err(Failure::new(format!("the fuzz target {target} has no seeds in {}", workspace.shown(&seeds))));
    }
    let artifacts = workspace.target("fuzz-corpus");
    let mut tried = 0;
    for _ in 0..ROUNDS {
        let said = Run::new(programs.join(target))
            .arg(&corpus)
            .arg(&seeds)
            .args([&format!("-max_total_time={SECONDS}"), "-timeout=5", "-rss_limit_mb=1024"])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .quiet_stderr()
            .map_err(|failure| {
                failure.hint(format!("the input that did it lies in {}", workspace.shown(&artifacts)))
            })?;
        tried += inputs(&said).unwrap_or(0);
        if tried >= LEAST {
            break;
        }
    }
    if tried < LEAST {
        return Err(Failure::new(format!("the fuzz target {target} tried {tried} inputs, of at least {LEAST}")));
    }
    step.end(format!("{target}: {tried} inputs, no fault"));
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
fn inputs(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.strip_prefix("Done ")?.split(' ').next()?.parse().ok())
}
