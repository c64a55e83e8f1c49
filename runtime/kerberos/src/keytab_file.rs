//! A keytab on disk: judged, read once, and handed to the library as the very bytes that were judged.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use deputy_core::{ByteSize, in_one_line};
use deputy_sources::{SourceContext, ValueShape};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::keytab::{KeytabEntry, parse_keytab};
use crate::{Fault, FaultCause};

/// More than a keytab with the keys of a thousand services has.
const LARGEST: ByteSize = ByteSize::mib(1);

/// Names of other principals that a message shows.
const MOST_SHOWN: usize = 8;

/// A keytab with keys of the login's principal, in memory.
pub(crate) struct KeytabFile {
    copy: File,
    /// What it has of the principal: `version 3: aes256-cts-hmac-sha1-96`.
    keys: String,
}

impl KeytabFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is missing, unreadable, open to others, too long, damaged, or has no usable key of the principal.
    pub(crate) fn open(path: &Path, principal: &str) -> Result<Self, Fault> {
        let failed = |text: String| Fault::new(FaultCause::Keytab, text);
        let (bytes, _) = deputy_sources::read_file_now(path, ValueShape::bytes(LARGEST), &SourceContext::of_process())
            .map_err(|error| failed(in_one_line(&error)))?;
        let entries = parse_keytab(bytes.expose()).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        let keys = usable_keys(&entries, principal)
            .map_err(|fault| Fault { cause: fault.cause, detail: format!("{}: {}", path.display(), fault.detail) })?;
        let copy = || -> std::io::Result<File> {
            let mut file = File::from(memfd_create("deputy-keytab", MemfdFlags::CLOEXEC)?);
            file.write_all(bytes.expose())?;
            Ok(file)
        };
        Ok(Self { copy: copy().map_err(|error| failed(error.to_string()))?, keys })
    }

    /// How the library opens the copy.
    pub(crate) fn name(&self) -> String {
        format!("FILE:/proc/self/fd/{}", self.copy.as_raw_fd())
    }

    /// Adds what only the file knows to a fault that is about its keys.
    pub(crate) fn explain(&self, mut fault: Fault) -> Fault {
        if matches!(fault.cause, FaultCause::WrongKey | FaultCause::KeyTypes) {
            fault.detail = format!("{}; the keytab has {}", fault.detail, self.keys);
        }
        fault
    }
}

/// The keys of a principal, newest version first.
fn usable_keys(entries: &[KeytabEntry], principal: &str) -> Result<String, Fault> {
    let mut keys: Vec<&KeytabEntry> = entries.iter().filter(|entry| entry.principal == principal).collect();
    if keys.is_empty() {
        return Err(Fault::new(FaultCause::Keytab, missing(entries, principal)));
    }
    keys.sort_by_key(|key| std::cmp::Reverse((key.version, key.key_type)));
    let list = keys.iter().map(|key| format!("version {}: {}", key.version, key.key_type)).collect::<Vec<_>>();
    let list = list.join(", ");
    if keys.iter().all(|key| key.key_type.is_gone()) {
        return Err(Fault::new(FaultCause::KeyTypes, format!("it has only {list}")));
    }
    Ok(list)
}

fn missing(entries: &[KeytabEntry], principal: &str) -> String {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.principal.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let others = match names.len().checked_sub(MOST_SHOWN) {
        Some(others) if others > 0 => format!(" and {others} others"),
        _ => String::new(),
    };
    names.truncate(MOST_SHOWN);
    match names.as_slice() {
        [] => format!("it has no key for {principal}: it is empty"),
        names => format!("it has no key for {principal}; it has keys for {}{others}", names.join(", ")),
    }
}
