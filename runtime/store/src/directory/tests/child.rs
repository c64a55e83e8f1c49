//! Other processes: this test program once more, with a variable that names its role.

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

const ROLE: &str = "DEPUTY_STORE_TEST_ROLE";
const STATE_DIR: &str = "DEPUTY_STORE_TEST_STATE_DIR";

/// Begins a line for the parent.
const MARK: &str = "@ ";

/// A process with a role. It is killed on drop, if it still runs.
pub(super) struct OtherProcess {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl OtherProcess {
    pub(super) fn start(part: &str, folder: &Path) -> Self {
        Self::start_through(part, folder, &[])
    }

    /// Through another program, which starts the command at the end of its own arguments.
    pub(super) fn start_through(part: &str, folder: &Path, by: &[&str]) -> Self {
        let test = std::env::current_exe().unwrap();
        let mut words: Vec<_> = by.iter().map(Into::into).collect();
        words.push(test.into_os_string());
        let mut command = Command::new(words.remove(0));
        command.args(words).args(["--exact", "directory::tests::child::child_process_entry_point", "--nocapture"]);
        command.env(ROLE, part).env(STATE_DIR, folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// The next line that it prints, if it does not end before.
    pub(super) fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // The test harness may have begun the line.
            if let Some((_, said)) = line.split_once(MARK) {
                return Some(said.trim_end().to_owned());
            }
            line.clear();
        }
        None
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits until it ends by itself, successfully.
    pub(super) fn finish(mut self) {
        while self.next_line().is_some() {}
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn say(text: impl std::fmt::Display) {
    println!("{MARK}{text}");
    std::io::stdout().flush().unwrap();
}

/// A test only if another one starts it.
#[tokio::test]
async fn child_process_entry_point() {
    let (Ok(part), Some(folder)) = (std::env::var(ROLE), std::env::var_os(STATE_DIR)) else { return };
    let folder = PathBuf::from(folder);
    match part.as_str() {
        "count" => count(&folder).await,
        "fill" => fill(&folder).await,
        "hold" => hold(&folder).await,
        "read-only" => read_only(&folder).await,
        "write" => write(&folder).await,
        other => panic!("{other}"),
    }
}

/// Holds a lock until it is killed.
async fn hold(folder: &Path) {
    let store = open(folder).await.unwrap();
    let lock = store.lock(&parsed("leader/all")).await.unwrap();
    say(lock.fencing());
    std::future::pending().await
}

/// Writes until it is killed, and prints what was promised.
async fn write(folder: &Path) {
    let store = open(folder).await.unwrap();
    for number in 0_u64.. {
        let version = store.write("lease/a", &number.to_string().repeat(4096)).await;
        say(format_args!("{number} {version}"));
    }
}

/// Adds one, a hundred times.
async fn count(folder: &Path) {
    let store = open(folder).await.unwrap();
    say("ready");
    add(&store, 100).await;
}

pub(super) async fn add(store: &DirectoryStore, times: u32) {
    let key = parsed("count/all");
    for _ in 0..times {
        loop {
            let (number, expected) = match store.get(&key).await.unwrap() {
                Some(StoredValue { value, version, .. }) => (
                    std::str::from_utf8(value.expose()).unwrap().parse::<u32>().unwrap(),
                    ExpectedVersion::Version(version),
                ),
                None => (0, ExpectedVersion::Absent),
            };
            match store.put_shared(&key, &value(&(number + 1).to_string()), expected).await {
                Ok(_) => break,
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// Fills the disk. A put that fails must leave the old value whole.
async fn fill(folder: &Path) {
    let store = open(folder).await.unwrap();
    let key = parsed("lease/a");
    let old = store.write("lease/a", "old").await;
    let large = SecretBytes::new(vec![7; 256 << 10]);
    for expected in [ExpectedVersion::Absent, ExpectedVersion::Version(old)] {
        let key = if expected == ExpectedVersion::Absent { parsed("lease/b") } else { key.clone() };
        let error = store.put_shared(&key, &large, expected).await.unwrap_err();
        assert!(matches!(error, StoreError::File(FileError::Full { .. })), "{error:?}");
        assert!(error.to_string().contains("free some space"), "{error}");
    }
    assert_eq!(store.text("lease/a").await.unwrap(), "old");
    assert_eq!(store.list(&KeyPrefix::All).await.unwrap(), std::slice::from_ref(&key));
    let names = PrivateDir::open(folder).unwrap().names().unwrap();
    assert!(!names.iter().any(|name| deputy_files::is_staged(name)), "{names:?}");
    // What fits is written again, and values can be deleted.
    let new = store.write("lease/a", "new").await;
    store.delete_shared(&key, new).await.unwrap();
    say("done");
}

/// Writes to a read-only file system.
async fn read_only(folder: &Path) {
    let store = open(folder).await.unwrap();
    let version = store.write("lease/a", "old").await;
    let remounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "remount,ro", "none"]).arg(folder).status().unwrap();
    assert!(remounted.success());
    let key = parsed("lease/a");
    for error in [
        store.put_shared(&key, &value("new"), ExpectedVersion::Version(version)).await.unwrap_err(),
        store.delete_shared(&key, version).await.unwrap_err(),
        open(&folder.join("new")).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::File(FileError::ReadOnly { .. })), "{error:?}");
        assert!(error.to_string().contains("read-only"), "{error}");
    }
    assert_eq!(store.text("lease/a").await.unwrap(), "old");
    say("done");
}
