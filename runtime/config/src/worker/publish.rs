//! How a receiver's files are published: directory, owner, mode, expiry and hook.

use std::path::{Path, PathBuf};

use deputy_core::{Account, Expired, FileMode};

use crate::diagnostic::DiagnosticSink;
use crate::value::{Located, TableReader, optional};

use super::hook::{self, OnChange};

/// How the files of one receiver are published. Unset keys of a receiver's table default to those of `[worker]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publish {
    /// The directory in which the receiver's files appear, under its name. Without one, the receiver cannot run.
    pub output: Option<PathBuf>,
    pub mode: FileMode,
    /// The owner of the files; by default, the worker's user.
    pub owner: Option<Account>,
    /// The group of the files; by default, the worker's.
    pub group: Option<Account>,
    /// What happens to the files of an expired lease.
    pub expired: Expired,
    pub on_change: Option<OnChange>,
}

/// Reads the keys of a receiver's table; `None` after an error.
pub(super) fn read(
    sink: &mut DiagnosticSink,
    base: &Path,
    fields: &mut TableReader<'_>,
    worker: &Publish,
) -> Option<Publish> {
    let output = optional(fields.optional("output"), |v| v.path(sink, base));
    let mode = optional(fields.optional("mode"), |v| mode(sink, v));
    let owner = optional(fields.optional("owner"), |v| account(sink, v));
    let group = optional(fields.optional("group"), |v| account(sink, v));
    let expired = optional(fields.optional("expired"), |v| on_expiry(sink, v));
    let on_change = optional(fields.optional("on-change"), |v| hook::read(sink, base, v));
    Some(Publish {
        output: output?.or_else(|| worker.output.clone()),
        mode: mode?.unwrap_or(worker.mode),
        owner: owner?.or_else(|| worker.owner.clone()),
        group: group?.or_else(|| worker.group.clone()),
        expired: expired?.unwrap_or(worker.expired),
        on_change: on_change?,
    })
}

/// `expired = "remove"`
pub(super) fn on_expiry(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Expired> {
    value.choice(sink, &[("keep", Expired::Keep), ("remove", Expired::Remove)])
}

fn mode(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<FileMode> {
    let mode: FileMode = value.parsed(sink, "\"0600\"")?;
    if mode.is_for_all() {
        sink.warning(value.at(), "every user of this machine can read these credentials")
            .expected("\"0600\", or \"0640\" with `group`");
    }
    Some(mode)
}

/// A name, or a number with or without quotes.
fn account(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<Account> {
    if !value.is_number() {
        return value.parsed(sink, "\"app\" or 1000");
    }
    let id = value.count(sink, "1000")?;
    match id.to_string().parse() {
        Ok(account) => Some(account),
        Err(error) => value.invalid::<Account>(sink, &error),
    }
}
