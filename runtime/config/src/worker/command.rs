//! The command of `on-change`.

use deputy_core::{HookCommand, HookCommandError};

use crate::diagnostic::DiagnosticSink;
use crate::value::{Located, invalid};

const LIKE: &str = "[\"/usr/bin/systemctl\", \"reload\", \"app\"]";

/// `["/usr/bin/systemctl", "reload", "app"]`
pub(super) fn read(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<HookCommand> {
    let elements = value.list(sink, LIKE)?;
    let words: Option<Vec<String>> =
        elements.iter().map(|element| Some(element.text(sink, "\"…\"")?.to_owned())).collect();
    match HookCommand::new(words?) {
        Ok(command) => Some(command),
        Err(error) => {
            let program = elements.first().filter(|_| error == HookCommandError::Relative);
            invalid(sink, program.copied().unwrap_or(value).at(), &error);
            None
        }
    }
}
