//! Processes of a demonstration, and waiting for what they do.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Doing, Failure, Result};
use crate::process::Run;

/// A process that ends with this value.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(deputy: &Path, folder: &Path, name: &str, arguments: &[&str]) -> Result<Self> {
        let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log")));
        let log = log.doing(|| format!("opening the log of {name}"))?;
        let child = Command::new(deputy)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        child.map(Self).doing(|| format!("starting {name}"))
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        self.0.kill().doing(|| "killing a process".into())?;
        self.0.wait().map(drop).doing(|| "killing a process".into())
    }

    /// Asks it to end, as systemd does.
    pub(super) fn stop(mut self) -> Result<()> {
        Run::new("kill").args(["-TERM", &self.0.id().to_string()]).quiet()?;
        let status = self.0.wait().doing(|| "stopping a process".into())?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("a process ended with {status}"))) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(super) fn until(what: &str, mut so: impl FnMut() -> bool) -> Result<()> {
    let begun = now();
    while !so() {
        if since(begun) > Duration::from_secs(60) {
            return Err(Failure::new(format!("waited for {what}: see the logs beside deputy.toml")));
        }
        pause(Duration::from_millis(50));
    }
    Ok(())
}

pub(super) fn wait_for(begun: Instant, time: Duration) {
    pause(time.saturating_sub(since(begun)));
}

pub(super) fn since(begun: Instant) -> Duration {
    now().saturating_duration_since(begun)
}

#[expect(clippy::disallowed_methods, reason = "a demonstration takes as long as it takes")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a demonstration has a thread of its own")]
pub(super) fn pause(time: Duration) {
    thread::sleep(time);
}
