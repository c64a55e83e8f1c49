//! A worker that runs, as an operator starts it.

use std::ffi::OsStr;
use std::fs::File;
use std::process::{Child, Stdio};

use deputy_worker::status::WorkerReport;

use crate::coordinator::asked_as;
use crate::environment::TestEnvironment;

/// `deputy worker` in a home. It is killed when this is dropped.
pub struct RunningWorker<'h> {
    home: &'h TestEnvironment,
    child: Child,
}

impl<'h> RunningWorker<'h> {
    /// Starts it with these arguments, and waits for nothing.
    pub fn start(home: &'h TestEnvironment, arguments: &[&OsStr]) -> Self {
        let log = File::options().create(true).append(true).open(home.path("worker.log")).unwrap();
        let mut command = home.program();
        command.arg("--config").arg(home.path("worker.toml")).arg("--state").arg(home.path("worker-state"));
        command.args(["worker", "--log", "debug"]).args(arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { home, child }
    }

    /// Its status; none if it does not answer.
    pub fn status(&self) -> Option<WorkerReport> {
        asked_as(&self.home.path("worker-state/worker.sock"), "/v1/status")
    }
}

impl Drop for RunningWorker<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
