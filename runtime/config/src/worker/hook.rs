//! `on-change`: the hook that runs when a receiver's files change.

use std::path::{Path, PathBuf};

use deputy_core::{HookCommand, HookSignal, Span};

use crate::diagnostic::DiagnosticSink;
use crate::value::{Located, TableReader, optional};

use super::command;

/// The hook. The operator chooses it; the component has no influence on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnChange {
    Command { command: HookCommand, timeout: Span },
    Signal { signal: HookSignal, pid_file: PathBuf },
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
    let is_valid = check_combinations(sink, &fields);
    fields.finish(sink);
    let timeout = timeout?.unwrap_or(TIMEOUT);
    match (is_valid, command?, signal?, pid_file?) {
        (true, Some(command), ..) => Some(OnChange::Command { command, timeout }),
        (true, None, Some(signal), Some(pid_file)) => Some(OnChange::Signal { signal, pid_file }),
        _ => None,
    }
}

/// Checks that there is either a command or a signal, with the keys that belong to it.
fn check_combinations(sink: &mut DiagnosticSink, fields: &TableReader<'_>) -> bool {
    let mut is_valid = true;
    match (fields.key("command"), fields.key("signal")) {
        (None, None) => {
            sink.error(fields.at(), "`on-change` has neither a signal nor a command")
                .expected("needs `command`, or `signal`");
            return false;
        }
        (Some(command), Some(signal)) => {
            sink.error(signal, "`on-change` has both a signal and a command")
                .expected("remove one of them")
                .also(command, "the command");
            return false;
        }
        _ => {}
    }
    let mut require = |key: &str, other: &str| {
        if let (Some(at), None) = (fields.key(key), fields.key(other)) {
            sink.error(at, format!("`{key}` has no effect")).expected(format!("only with `{other}`"));
            is_valid = false;
        }
    };
    require("timeout", "command");
    require("pid-file", "signal");
    if fields.key("signal").is_some() && fields.key("pid-file").is_none() {
        sink.error(fields.at(), "`pid-file` is missing").expected("needs pid-file = \"/run/app.pid\"");
        is_valid = false;
    }
    is_valid
}
