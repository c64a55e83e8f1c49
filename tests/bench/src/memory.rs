//! What a call weighs that waits for its service. Each measurement is a process of its own, so that nothing that was
//! freed before hides what is taken now.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use clap::ValueEnum;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::report::{Report, Unit};
use crate::sandboxed::{oauth2, s3, sandbox};
use crate::server::Server;
use crate::{Result, native};

/// What waits.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum What {
    Native,
    Rust,
    Python,
    Javascript,
}

const WAITING: [(What, &str); 4] = [
    (What::Native, "native: hyper alone"),
    (What::Rust, "s3-sts (Rust)"),
    (What::Python, "oauth2-python"),
    (What::Javascript, "oauth2-javascript"),
];

/// What a process holds in memory, in KiB.
#[derive(Clone, Copy)]
struct Held {
    /// Pages that are mapped, each mapping counted: what `ps` shows.
    resident: f64,
    /// The same with shared pages counted once.
    proportional: f64,
}

/// Measures all kinds, in turns.
pub(crate) async fn compare(report: &mut Report, waiting: usize, rounds: usize) -> Result {
    let mut server = Server::start().await?;
    let state = tempfile::tempdir()?;
    let mut samples: [Vec<Held>; 4] = Default::default();
    for _ in 0..rounds {
        for ((what, _), samples) in WAITING.iter().zip(&mut samples) {
            samples.push(child(*what, waiting, &mut server, state.path()).await?);
        }
    }
    type Of = fn(&Held) -> f64;
    let resident: Of = |held| held.resident;
    let proportional: Of = |held| held.proportional;
    for (kind, of) in [("resident", resident), ("shared pages counted once", proportional)] {
        let section = report.section(format!("memory of one of {waiting} waiting calls, {kind}"));
        for ((_, name), samples) in WAITING.iter().zip(&samples) {
            section.add(name, Unit::Kib, samples.iter().map(of).collect());
        }
    }
    Ok(())
}

/// Has a process of its own measure, and gives what one call takes.
async fn child(what: What, waiting: usize, server: &mut Server, state: &Path) -> Result<Held> {
    let name = what.to_possible_value().ok_or("no such kind")?;
    let mut child = Command::new(env::current_exe()?)
        .args([
            "memory-child",
            name.get_name(),
            &waiting.to_string(),
            &server.port.to_string(),
            &server.holding.to_string(),
        ])
        .arg(state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    let mut output = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
    server.holds(waiting).await?;
    input.write_all(b"\n").await?;
    let line = output.next_line().await?.ok_or("the measuring process ended")?;
    server.let_go().await?;
    if !child.wait().await?.success() {
        return Err("a call of the measuring process failed".into());
    }
    let (resident, proportional) = line.split_once(' ').ok_or("no figures")?;
    let one = |text: &str| text.parse::<f64>().map(|all| all / waiting as f64);
    Ok(Held { resident: one(resident)?, proportional: one(proportional)? })
}

/// The measuring process: what is held after `waiting` calls have begun and none has ended, over what was held before.
pub(crate) async fn measure(what: What, waiting: usize, port: u16, holding: u16, state: &Path) -> Result {
    let sandbox = sandbox(state)?;
    let (first, others) = match what {
        What::Native => {
            native::request(port).await.map_err(|error| error.to_string())?;
            return wait(
                waiting,
                || async move { native::request(holding).await.map(drop).map_err(|e| e.to_string()) },
            )
            .await;
        }
        What::Rust => (s3(&sandbox, state, port).await?, s3(&sandbox, state, holding).await?),
        What::Python => {
            (oauth2(&sandbox, "oauth2-python", port).await?, oauth2(&sandbox, "oauth2-python", holding).await?)
        }
        What::Javascript => {
            (oauth2(&sandbox, "oauth2-javascript", port).await?, oauth2(&sandbox, "oauth2-javascript", holding).await?)
        }
    };
    first.obtain().await.result?;
    let others = Arc::new(others);
    let call = || {
        let provider = Arc::clone(&others);
        async move { provider.obtain().await.result.map(drop).map_err(|error| error.to_string()) }
    };
    wait(waiting, call).await
}

/// Begins all calls, tells what they take once the other process says that all wait, and sees them end well.
async fn wait<F: Future<Output = Result<(), String>> + Send + 'static>(waiting: usize, call: impl Fn() -> F) -> Result {
    let before = held()?;
    let mut calls = JoinSet::new();
    for _ in 0..waiting {
        calls.spawn(call());
    }
    BufReader::new(tokio::io::stdin()).read_line(&mut String::new()).await?;
    let after = held()?;
    println!("{} {}", after.resident - before.resident, after.proportional - before.proportional);
    while let Some(ended) = calls.join_next().await {
        ended??;
    }
    Ok(())
}

fn held() -> Result<Held> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB"));
        line.and_then(|value| value.trim().parse().ok()).ok_or(format!("no {name} in smaps_rollup"))
    };
    Ok(Held { resident: field("Rss:")?, proportional: field("Pss:")? })
}
