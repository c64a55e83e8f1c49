//! `on-change`: who is told when a receiver's files changed.

use std::path::{Path, PathBuf};

use deputy_core::{HookCommand, HookSignal, Span};

use crate::diagnostic::DiagnosticSink;
use crate::value::{Located, TableReader, optional};

use super::command;

/// What is done when files changed. The operator says it, and the component has no part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnChange {
    /// A program is called, without a shell.
    Command {
        /// Which.
        command: HookCommand,
        /// How long it may take.
        timeout: Span,
    },
    /// A process is sent a signal.
    Signal {
        /// Which.
        signal: HookSignal,
        /// The file that holds the process's number.
        pid_file: PathBuf,
    },
}

const TIMEOUT: Span = Span::secs(10);

/// `{ signal = "HUP", pid-file = "app.pid" }` or `{ command = ["/usr/bin/app", "reload"], timeout = "10s" }`
pub(super) fn read(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Option<OnChange> {
    let mut fields = value.table(sink, "{ signal = \"HUP\", pid-file = \"app.pid\" }")?;
    let command = optional(fields.optional("command"), |v| command::read(sink, v));
    let timeout =
        optional(fields.optional("timeout"), |v| v.span(sink, "\"10s\"", Span::millis(100)..=Span::secs(600)));
    let signal = optional(fields.optional("signal"), |v| v.choice(sink, &HookSignal::ALL.map(|s| (s.name(), s))));
    let pid_file = optional(fields.optional("pid-file"), |v| v.path(sink, base));
    let sound = together(sink, &fields);
    fields.finish(sink);
    let (command, timeout, signal, pid_file) = (command?, timeout?, signal?, pid_file?);
    match (sound, command, signal, pid_file) {
        (true, Some(command), ..) => Some(OnChange::Command { command, timeout: timeout.unwrap_or(TIMEOUT) }),
        (true, None, Some(signal), Some(pid_file)) => Some(OnChange::Signal { signal, pid_file }),
        _ => None,
    }
}

/// Whether the keys go together: one of the two, and what belongs to it.
fn together(sink: &mut DiagnosticSink, fields: &TableReader<'_>) -> bool {
    let mut sound = true;
    match (fields.key("command"), fields.key("signal")) {
        (None, None) => {
            sink.error(fields.at(), "neither a signal nor a command").expected("needs `command`, or `signal`");
            return false;
        }
        (Some(command), Some(signal)) => {
            sink.error(signal, "a signal and a command").expected("one of them must go").also(command, "the command");
            return false;
        }
        _ => {}
    }
    let mut useless = |key: &str, other: &str| {
        if let (Some(at), None) = (fields.key(key), fields.key(other)) {
            sink.error(at, format!("`{key}` has no effect")).expected(format!("only with `{other}`"));
            sound = false;
        }
    };
    useless("timeout", "command");
    useless("pid-file", "signal");
    if fields.key("signal").is_some() && fields.key("pid-file").is_none() {
        sink.error(fields.at(), "`pid-file` is missing").expected("needs pid-file = \"/run/app.pid\"");
        sound = false;
    }
    sound
}
