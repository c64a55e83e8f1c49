//! What the host finds around it: names, a log, a compiler, and files.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_core::SecretBytes;
use deputy_sandbox::{CacheKey, CodeCache, Compiler, LookupSlot, Resolver};

use crate::harness::host;

/// What the program would print.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn begin() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_env_filter("warn,deputy=debug");
        subscriber.with_writer(move || writer.clone()).init();
        log
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where names lead.
#[derive(Default)]
pub(crate) struct Names {
    known: Mutex<HashMap<String, (Answer, usize)>>,
    unknown: Mutex<Vec<String>>,
    count: AtomicU32,
}

pub(crate) enum Answer {
    /// These, the last for ever.
    Addresses(Vec<Vec<IpAddr>>),
    Never,
}

impl Names {
    pub(crate) fn add(&self, answer: Answer) -> String {
        let name = format!("n{}.hostile.test", self.count.fetch_add(1, Ordering::Relaxed));
        self.known.lock().unwrap().insert(name.clone(), (answer, 0));
        name
    }

    /// Has `localhost` lead to this machine: the name of real servers.
    pub(crate) fn add_localhost(&self) -> String {
        let addresses = Answer::Addresses(vec![vec![Ipv4Addr::LOCALHOST.into()]]);
        self.known.lock().unwrap().insert("localhost".to_owned(), (addresses, 0));
        "localhost".to_owned()
    }

    /// How often a name was asked for.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.known.lock().unwrap().get(name).map_or(0, |(_, asked)| *asked)
    }

    /// Everything that was asked for and is no test's name.
    pub(crate) fn asked_in_vain(&self) -> Vec<String> {
        self.unknown.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, name: &str, _: LookupSlot) -> io::Result<Vec<IpAddr>> {
        let found = match self.known.lock().unwrap().get_mut(name) {
            Some((Answer::Addresses(answers), asked)) => {
                *asked += 1;
                Some(answers.get(*asked - 1).or(answers.last()).cloned().unwrap_or_default())
            }
            Some((Answer::Never, asked)) => {
                *asked += 1;
                None
            }
            None => {
                self.unknown.lock().unwrap().push(name.to_owned());
                return Err(io::ErrorKind::NotFound.into());
            }
        };
        match found {
            Some(addresses) => Ok(addresses),
            None => std::future::pending().await,
        }
    }
}

/// A cache of compiled code below a folder.
pub(crate) fn cache(folder: &Path) -> CodeCache {
    CodeCache { state_dir: folder.join("state"), key: CacheKey::new(&SecretBytes::new(vec![7; 32])) }
}

/// The compile child that production uses, with what it may take in production.
pub(crate) fn compiler() -> Compiler {
    Compiler::new(env!("CARGO_BIN_EXE_deputy").into(), vec!["compile-component".into()])
}

/// A component that `cargo xtask guests` has built.
pub(crate) fn guest_file(guest: &str) -> PathBuf {
    let folder = std::env::var_os("DEPUTY_GUESTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests"));
    let file = folder.join(guest).with_extension("wasm");
    assert!(file.is_file(), "{} is missing: run `cargo xtask guests`", file.display());
    file
}

/// An empty folder of this run's own, closed to others. The next run empties it.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile").join(name);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{}: {error}", folder.display()),
        _ => {}
    }
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(&folder).unwrap();
    folder
}

/// A file that only this user can read.
pub(crate) fn private_file(contents: &[u8]) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let path = host().folder().join(format!("file-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(contents).unwrap();
    path
}

/// An error with all that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Bytes of this process's memory that are no file's.
pub(crate) fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line of /proc/self/status");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
