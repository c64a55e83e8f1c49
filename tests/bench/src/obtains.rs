//! Many obtains at once, each with one signature and one request to a local server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::report::{Report, Unit};
use crate::sandboxed::{s3, sandbox};
use crate::server::Server;
use crate::{Result, native};

/// How many calls a sandbox runs at once; natively no more are begun either.
const AT_ONCE: usize = 500;

pub(crate) async fn measure(report: &mut Report, obtains: usize, rounds: usize) -> Result {
    let server = Server::start().await?;
    let folder = tempfile::tempdir()?;
    let provider = Arc::new(s3(&sandbox(folder.path())?, folder.path(), server.port).await?);
    let port = server.port;
    let obtain = || {
        let provider = Arc::clone(&provider);
        async move { provider.obtain().await.result.map(drop).map_err(|error| error.to_string()) }
    };
    let request = || async move { native::request(port).await.map(drop).map_err(|error| error.to_string()) };

    let (mut natives, mut sandboxed) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let times = (all(obtains, request).await?, all(obtains, obtain).await?);
        if round > 0 {
            natives.push(times.0);
            sandboxed.push(times.1);
        }
    }
    let section = report.section(format!("{obtains} obtains of s3-sts at once, from the first to the last"));
    section.times("native: hyper alone, the same requests unsigned", &natives);
    section.times("the sandbox", &sandboxed);
    let rate = |times: &[Duration]| times.iter().map(|time| obtains as f64 / time.as_secs_f64()).collect();
    let section = report.section("the same, as a rate");
    section.add("native: hyper alone, the same requests unsigned", Unit::PerSecond, rate(&natives));
    section.add("the sandbox", Unit::PerSecond, rate(&sandboxed));
    Ok(())
}

/// Begins them all at once, and gives the time until the last has ended well.
async fn all<F: Future<Output = Result<(), String>> + Send + 'static>(
    count: usize,
    call: impl Fn() -> F,
) -> Result<Duration> {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let (slots, call) = (Arc::clone(&slots), call());
        calls.spawn(async move {
            let _slot = slots.acquire().await.map_err(|error| error.to_string())?;
            call.await
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended??;
    }
    Ok(begun.elapsed())
}
