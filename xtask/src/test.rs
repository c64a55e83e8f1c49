//! `cargo xtask test`: everything that has to hold, from a fresh clone.

mod count;
mod fuzz;
mod once;

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::ValueEnum;

use self::count::Count;
use crate::failure::{Failure, Result};
use crate::process::Run;
use crate::say::{self, Step};
use crate::workspace::Workspace;
use crate::{demo, dist, guests, proto, tidy, tools};

/// How many tests there are at the least: a run that finds fewer has lost some.
const LEAST: usize = 1200;

/// The steps in their order: what fails fast comes first.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Formatting of all Rust
    Fmt,
    /// The rules of the tree
    Tidy,
    /// The generated messages of the link, of etcd and of traces
    Proto,
    /// The test servers and tools
    Tools,
    /// Licences, banned crates and sources of the dependencies
    Deny,
    /// Every guest component
    Guests,
    /// All lints of all Rust
    Clippy,
    /// All tests
    Tests,
    /// The archive of a release, used in an empty folder
    Dist,
    /// Each fuzz target for a short while
    Fuzz,
    /// The demonstration of the README, which fails if a read fails
    Demo,
}

/// Workspaces beside the native one.
const GUESTS: [&str; 11] = [
    "kit/hadoop",
    "kit/rust",
    "providers",
    "providers/examples/rust",
    "receivers",
    "receivers/examples/rust",
    "tests/guests",
    "tests/plugs/outputs",
    "tests/plugs/secrets",
    "tests/providers/assertion/rust",
    "tests/providers/refresh-token",
];

/// Those of them whose logic is tested natively.
const TESTED: [&str; 5] = ["kit/hadoop", "kit/rust", "providers", "receivers", "tests/providers/refresh-token"];

/// Crates for engines, each a workspace of its own. They are built into one folder.
const ENGINES: [&str; 1] = ["engines/object-store"];

/// What the bench compares components with, a workspace of its own, which `cargo xtask bench kerberos` builds.
pub(crate) const NATIVE: &str = "tests/bench/native";

/// Runs the parts, all of them if none is named.
pub(crate) fn run(workspace: &Workspace, only: &[Part]) -> Result<()> {
    let parts = Part::value_variants().iter().filter(|part| only.is_empty() || only.contains(part));
    let mut count = Count::default();
    let mut times = Vec::new();
    let mut outcome = Ok(());
    for part in parts {
        let step = Step::begin(part.name(), part.describe());
        outcome = part.run(workspace, &mut count);
        let time = step.end(if outcome.is_ok() { "done" } else { "FAILED" });
        times.push((part.name(), time));
        if outcome.is_err() {
            break;
        }
    }
    summary(&times);
    if count.runs() > 0 {
        println!("{count}");
    }
    outcome?;
    if only.is_empty() && count.passed() < LEAST {
        return Err(Failure::new(format!("only {} tests ran, of at least {LEAST}", count.passed())));
    }
    Ok(())
}

fn summary(times: &[(String, Duration)]) {
    let steps: Vec<_> = times.iter().map(|(name, time)| format!("{name} {}", say::seconds(*time))).collect();
    say::note("took", steps.join(", "));
}

impl Part {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Fmt => "checking the formatting",
            Self::Tidy => "checking the rules of the tree",
            Self::Proto => "comparing the generated messages with link.proto, etcd.proto and otlp.proto",
            Self::Tools => "installing test servers and tools",
            Self::Deny => "checking what the program is made of",
            Self::Guests => "building the guest components",
            Self::Clippy => "linting (the first time takes some minutes)",
            Self::Tests => "running all tests (the first build takes about ten minutes on two cores)",
            Self::Dist => "packing a release of what was tested, and using it in an empty folder",
            Self::Fuzz => "fuzzing the parsers for a short while",
            Self::Demo => "running the demonstrations (takes three minutes)",
        }
    }

    fn run(self, workspace: &Workspace, count: &mut Count) -> Result<()> {
        match self {
            Self::Fmt => fmt(workspace),
            Self::Tidy => tidy::check(workspace),
            Self::Proto => proto::check(workspace),
            Self::Tools => tools::install(workspace),
            Self::Deny => deny(workspace),
            Self::Guests => guests::build(workspace),
            Self::Clippy => clippy(workspace),
            Self::Tests => tests(workspace, count),
            Self::Dist => dist::test(workspace),
            Self::Fuzz => fuzz::run(workspace),
            Self::Demo => {
                demo::run(workspace)?;
                demo::hadoop::run(workspace)?;
                demo::replicas::run(workspace)
            }
        }
    }
}

/// Cargo in the folder of a workspace, `""` for the root.
fn cargo(workspace: &Workspace, folder: &str) -> Run {
    Run::new("cargo").dir(&workspace.path(folder))
}

fn fmt(workspace: &Workspace) -> Result<()> {
    let others = ["tests/clients/rust", "tests/fuzz", proto::FOLDER, NATIVE];
    for folder in [""].iter().chain(&GUESTS).chain(&ENGINES).chain(&others) {
        cargo(workspace, folder)
            .args(["fmt", "--all", "--check"])
            .shown()
            .map_err(|failure| failure.hint("`just fmt` formats everything"))?;
    }
    Ok(())
}

fn deny(workspace: &Workspace) -> Result<()> {
    // The rules name what the native program needs; the guests have less, which is no fault.
    const LESS: [&str; 6] = ["-A", "unmatched-skip", "-A", "unnecessary-skip", "-A", "license-not-encountered"];
    let check = |folder| {
        let deny = Run::new(workspace.tool("cargo-deny")).dir(&workspace.path(folder)).args(["--log-level", "error"]);
        let deny = deny.args(["--locked", "--config"]).arg(workspace.path("deny.toml"));
        deny.args(["check", "--hide-inclusion-graph"])
    };
    once::check(workspace)?;
    check("").args(["bans", "licenses", "sources"]).quiet()?;
    for folder in GUESTS {
        check(folder).args(LESS).args(["bans", "licenses", "sources"]).quiet()?;
    }
    // What is banned is banned from the program: object_store brings what it likes into an engine, and so do chores.
    for folder in ENGINES.iter().chain([&proto::FOLDER]) {
        check(folder).args(LESS).args(["licenses", "sources"]).quiet()?;
    }
    Ok(())
}

fn clippy(workspace: &Workspace) -> Result<()> {
    const STRICT: [&str; 3] = ["--", "-D", "warnings"];
    cargo(workspace, "")
        .args(["clippy", "--workspace", "--all-targets", "--locked", "--quiet"])
        .args(STRICT)
        .shown()?;
    for folder in GUESTS {
        let clippy = |target: &str| {
            let lint = cargo(workspace, folder).args(["clippy", "--workspace", "--locked", "--quiet", "--target-dir"]);
            lint.arg(workspace.target(target))
        };
        // In release, so that it shares what it has to compile with the build of the guests.
        let wasm = ["--release", "--lib", "--examples", "--target", "wasm32-unknown-unknown"];
        clippy("wasm").args(wasm).args(STRICT).shown()?;
        if TESTED.contains(&folder) {
            clippy(folder).arg("--tests").args(STRICT).shown()?;
        }
    }
    for folder in ENGINES {
        let lint = cargo(workspace, folder).args(["clippy", "--all-targets", "--locked", "--quiet", "--target-dir"]);
        lint.arg(workspace.engines()).args(STRICT).shown()?;
    }
    let lint = cargo(workspace, proto::FOLDER).args(["clippy", "--all-targets", "--locked", "--quiet", "--target-dir"]);
    lint.arg(workspace.target("proto")).args(STRICT).shown()?;
    Ok(())
}

fn tests(workspace: &Workspace, count: &mut Count) -> Result<()> {
    // Most tests of the program wait, for processes and for timers: twice as many as there are processors run at once.
    let threads = available_parallelism().map_or(2, NonZero::get).saturating_mul(2);
    let run = |folder: &str| {
        let test = cargo(workspace, folder).args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        let test = test.env("RUST_TEST_THREADS", threads.to_string());
        let test = test.env("DEPUTY_GUESTS", workspace.guests()).env("DEPUTY_TOOLS", workspace.tools());
        test.env("DEPUTY_ENGINES", workspace.engines())
    };
    // First, since it builds the examples that the tests of the program run.
    let engines = ENGINES.map(|folder| count.run(run(folder).arg("--target-dir").arg(workspace.engines())));
    // All run to their end, so that one look shows everything that failed.
    let native = count.run(run(""));
    let guests = TESTED.map(|folder| count.run(run(folder).arg("--target-dir").arg(workspace.target(folder))));
    engines.into_iter().chain(guests).fold(native, Result::and)
}
