//! What a workload reads: all files of one receiver, through one directory that is opened once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Stands in every payload.
pub(crate) const CANARY: &str = "canary-for-workers";

/// A payload: its instance, its number, and when it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) instance: String,
    pub(crate) number: u64,
    /// In milliseconds since 1970.
    pub(crate) until: u128,
}

/// The files of a unit by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit(pub(crate) BTreeMap<String, String>);

impl Payload {
    pub(crate) fn new(instance: &str, number: u64, life: Duration) -> Self {
        Self { instance: instance.to_owned(), number, until: (now() + life).as_millis() }
    }

    /// As the workload finds it.
    pub(crate) fn text(&self) -> String {
        format!("{CANARY} {} {} {}", self.instance, self.number, self.until)
    }

    /// What [`text`](Self::text) made.
    pub(crate) fn parsed(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [CANARY, instance, number, until] = words[..] else { return None };
        Some(Self { instance: instance.to_owned(), number: number.parse().ok()?, until: until.parse().ok()? })
    }
}

/// The time since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

impl Unit {
    /// All that a receiver has published; nothing if that is nothing.
    pub(crate) fn read(link: &Path) -> io::Result<Option<Self>> {
        let directory = match File::open(link) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let opened = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let file = |entry: io::Result<fs::DirEntry>| {
            let name = entry?.file_name().into_string().unwrap();
            let text = fs::read_to_string(format!("{opened}/{name}"))?;
            Ok((name, text))
        };
        fs::read_dir(&opened)?.map(file).collect::<io::Result<_>>().map(|files| Some(Self(files)))
    }

    /// What it holds of each instance. Each has two files, `NAME` and `NAME.copy`, and both are the same, or the
    /// unit is torn.
    pub(crate) fn payloads(&self) -> Result<BTreeMap<String, Payload>, String> {
        let mut payloads = BTreeMap::new();
        for (name, text) in self.0.iter().filter(|(name, _)| !name.ends_with(".copy")) {
            let copy = self.0.get(&format!("{name}.copy"));
            let payload = Payload::parsed(text).filter(|payload| payload.instance == *name);
            match payload {
                Some(payload) if copy == Some(text) => payloads.insert(name.clone(), payload),
                _ => return Err(format!("torn: {:?}", self.0)),
            };
        }
        if self.0.len() == 2 * payloads.len() { Ok(payloads) } else { Err(format!("torn: {:?}", self.0)) }
    }
}

#[test]
fn unit_check_detects_torn_units() {
    let (old, new) = (Payload::new("a", 1, Duration::ZERO).text(), Payload::new("a", 2, Duration::ZERO).text());
    let torn = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Unit(files.collect()).payloads().is_err()
    };
    assert!(!torn(&[("a", &old), ("a.copy", &old)]));
    for files in [
        &[("a", old.as_str()), ("a.copy", &new)][..],
        &[("a", &old)],
        &[("a.copy", &old)],
        &[("a", ""), ("a.copy", "")],
        &[("b", &old), ("b.copy", &old)],
    ] {
        assert!(torn(files), "{files:?}");
    }
}
