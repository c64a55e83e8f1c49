//! Other processes, which are this test program once more: a variable says what part it plays.

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

const PART: &str = "DEPUTY_STORE_TEST_PART";
const FOLDER: &str = "DEPUTY_STORE_TEST_FOLDER";

/// What begins a line for the parent.
const MARK: &str = "@ ";

/// A process that plays a part. It is killed on drop, if it still runs.
pub(super) struct Other {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    pub(super) fn start(part: &str, folder: &Path) -> Self {
        Self::start_in(part, folder, &[])
    }

    /// By way of another program, which begins it at the end of its own arguments.
    pub(super) fn start_in(part: &str, folder: &Path, by: &[&str]) -> Self {
        let test = std::env::current_exe().unwrap();
        let mut words: Vec<_> = by.iter().map(Into::into).collect();
        words.push(test.into_os_string());
        let mut command = Command::new(words.remove(0));
        command.args(words).args(["--exact", "directory::tests::child::plays_its_part", "--nocapture"]);
        command.env(PART, part).env(FOLDER, folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// What it says next, if it doesn't end before.
    pub(super) fn says(&mut self) -> Option<String> {
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

    /// Kills it in the middle of what it does.
    pub(super) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(super) fn ends_well(mut self) {
        while self.says().is_some() {}
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[expect(clippy::print_stdout, reason = "that is how the parent hears of it")]
fn say(text: impl std::fmt::Display) {
    println!("{MARK}{text}");
    io::stdout().flush().unwrap();
}

/// Of itself this is no test.
#[tokio::test]
async fn plays_its_part() {
    let (Ok(part), Some(folder)) = (std::env::var(PART), std::env::var_os(FOLDER)) else { return };
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

/// Writes until it is killed, and says what was promised.
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
                Some(StoredValue { value, version }) => (
                    std::str::from_utf8(value.expose()).unwrap().parse::<u32>().unwrap(),
                    ExpectedVersion::Version(version),
                ),
                None => (0, ExpectedVersion::Absent),
            };
            match store.put(&key, &value(&(number + 1).to_string()), expected).await {
                Ok(_) => break,
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// Fills what there is room for. Whatever is refused must leave the old value whole.
async fn fill(folder: &Path) {
    let store = open(folder).await.unwrap();
    let key = parsed("lease/a");
    let old = store.write("lease/a", "old").await;
    let large = SecretBytes::new(vec![7; 256 << 10]);
    for expected in [ExpectedVersion::Absent, ExpectedVersion::Version(old)] {
        let key = if expected == ExpectedVersion::Absent { parsed("lease/b") } else { key.clone() };
        let error = store.put(&key, &large, expected).await.unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(error.to_string().contains("free some space"), "{error}");
    }
    assert_eq!(store.text("lease/a").await.unwrap(), "old");
    assert_eq!(store.list(&KeyPrefix::All).await.unwrap(), std::slice::from_ref(&key));
    let names = Folder::open(folder).unwrap().names().unwrap();
    assert!(!names.iter().any(|name| folder::is_staged(name)), "{names:?}");
    // What fits is taken again, and what is there can be removed.
    let new = store.write("lease/a", "new").await;
    store.delete(&key, new).await.unwrap();
    say("done");
}

/// Writes where nothing can be written.
async fn read_only(folder: &Path) {
    let store = open(folder).await.unwrap();
    let version = store.write("lease/a", "old").await;
    let remounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "remount,ro", "none"]).arg(folder).status().unwrap();
    assert!(remounted.success());
    let key = parsed("lease/a");
    for error in [
        store.put(&key, &value("new"), ExpectedVersion::Version(version)).await.unwrap_err(),
        store.delete(&key, version).await.unwrap_err(),
        open(&folder.join("new")).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
        assert!(error.to_string().contains("read-only"), "{error}");
    }
    assert_eq!(store.text("lease/a").await.unwrap(), "old");
    say("done");
}
