//! Chromium, as Debian has it: a page that a test opens, acts on and looks at.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::Error;
use crate::tools::{installed, npm_set};

/// What drives it.
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../browser/browser.mjs");

/// One page. The browser ends when this is dropped.
pub struct Browser {
    driver: Child,
    said: BufReader<ChildStdout>,
}

impl Browser {
    /// Starts it, with nothing open. It takes two seconds.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(folder: &Path) -> Result<Self, Error> {
        let chromium = installed("chromium", "chromium")?;
        let packages = npm_set("browser", "playwright-core/index.mjs")?;
        // Node finds packages beside the script.
        let driver = folder.join("browser.mjs");
        let doing = |error: std::io::Error| Error::new(format!("the browser's driver: {error}"));
        std::fs::copy(DRIVER, &driver).map_err(doing)?;
        std::os::unix::fs::symlink(packages, folder.join("node_modules")).map_err(doing)?;
        let mut command = Command::new("node");
        command.arg(driver).arg(chromium).env("HOME", folder).env("TMPDIR", folder);
        let mut driver = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(doing)?;
        let said = driver.stdout.take().ok_or_else(|| Error::new("the browser's driver has no stdout"))?;
        let mut browser = Self { driver, said: BufReader::new(said) };
        browser.run("return 1")?;
        Ok(browser)
    }

    /// Runs the body of an asynchronous function of `page`, and returns what it returns. What waits in it has a limit.
    ///
    /// # Errors
    /// When the script fails: with its error.
    pub fn run(&mut self, script: &str) -> Result<Value, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::new(format!("{script}: {error}"));
        let line = format!("{}\n", Value::from(script));
        let stdin = self.driver.stdin.as_mut().ok_or_else(|| Error::new("the browser's driver has no stdin"))?;
        stdin.write_all(line.as_bytes()).map_err(|error| failed(&error))?;
        let mut said = String::new();
        self.said.read_line(&mut said).map_err(|error| failed(&error))?;
        let mut outcome: Value = serde_json::from_str(&said).map_err(|_| failed(&"the browser ended"))?;
        match outcome.get("error") {
            None => Ok(outcome.get_mut("value").map(Value::take).unwrap_or_default()),
            Some(_) => Err(failed(&outcome)),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver closes the browser when there is nothing more to run.
        drop(self.driver.stdin.take());
        self.driver.wait().ok();
    }
}
