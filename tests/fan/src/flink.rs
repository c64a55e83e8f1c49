//! Apache Flink beside it, if its jar is there: a small program of ours that has Flink's own classes distribute tokens.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::serve::PAYLOAD;
use crate::{Result, table::Push};

/// Names the jar.
const VARIABLE: &str = "DEPUTY_FLINK_JAR";

/// What is said if it names none.
pub(crate) const LEFT_OUT: &str = "Apache Flink was left out: `pip download --no-deps apache-flink-libraries==2.3.0`, \
     unzip pyflink/lib/flink-dist-2.3.0.jar from the wheel, and have DEPUTY_FLINK_JAR name it";

/// Task managers that fit into one JVM.
pub(crate) const MOST: usize = 100;

const SOURCE: &str = include_str!("../flink/FanOut.java");

/// A hundred task managers need half of it.
const HEAP: &str = "-Xmx2g";

/// How many of a failed program's last lines are shown.
const LAST_LINES: usize = 20;

/// The program, compiled.
pub(crate) struct Flink {
    jar: PathBuf,
    folder: TempDir,
}

impl Flink {
    /// Nothing, if no jar is named.
    pub(crate) fn find() -> Result<Option<Self>> {
        let Some(named) = env::var_os(VARIABLE) else { return Ok(None) };
        let jar = PathBuf::from(named);
        if !jar.is_file() {
            return Err(format!("{VARIABLE} names no file: {}", jar.display()).into());
        }
        let flink = Self { jar, folder: tempfile::tempdir()? };
        flink.compile()?;
        Ok(Some(flink))
    }

    /// What the jar is called: its version is in there.
    pub(crate) fn name(&self) -> String {
        self.jar.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The medians of many rotations, in a JVM of their own.
    pub(crate) fn measure(&self, task_managers: usize) -> Result<Push> {
        let classes = env::join_paths([self.folder.path(), &self.jar])?;
        let mut java = Command::new("java");
        // What Flink leaves behind goes with the folder.
        java.arg(HEAP).arg(format!("-Djava.io.tmpdir={}", self.folder.path().display()));
        java.arg("-cp").arg(classes).args(["FanOut", &task_managers.to_string(), &PAYLOAD.to_string()]);
        let said = run(java)?;
        let line = said.lines().last().unwrap_or_default();
        serde_json::from_str(line).map_err(|error| format!("Flink's figures are {line:?}: {error}").into())
    }

    fn compile(&self) -> Result {
        let folder = self.folder.path();
        let source = folder.join("FanOut.java");
        fs::write(&source, SOURCE)?;
        let mut javac = Command::new("javac");
        javac.arg("-cp").arg(&self.jar).arg("-d").arg(folder).arg(&source);
        run(javac)?;
        register(&folder.join("META-INF/services"))
    }
}

/// Has Flink find our classes.
fn register(services: &Path) -> Result {
    fs::create_dir_all(services)?;
    for name in ["Provider", "Receiver"] {
        let interface = format!("org.apache.flink.core.security.token.DelegationToken{name}");
        fs::write(services.join(interface), format!("FanOut${name}\n"))?;
    }
    Ok(())
}

/// What it says. What it complains of is shown only when it fails.
fn run(mut command: Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}, which Flink needs, does not run: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = complaint.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n  ");
        return Err(format!("{name} for Flink ended with {}:\n  {last}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
