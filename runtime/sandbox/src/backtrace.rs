//! Where a component trapped, for its author.

use tracing::Level;
use wasmtime::WasmBacktrace;

use crate::call_audit::CallAudit;
use crate::redact::Redactor;

/// The longest name of a function that is logged.
const NAME: usize = 200;

/// Logs the component's stack at the level `debug`, which no operator has in normal operation. The names are the component's
/// own, so they are cleaned as its log is.
pub(crate) fn log(error: &wasmtime::Error, audit: &CallAudit, redactor: &Redactor) {
    if !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return };
    for (number, frame) in backtrace.frames().iter().enumerate() {
        let function = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), str::to_owned);
        tracing::debug!(
            instance = %audit.subject(),
            call = %audit.call(),
            frame = number,
            offset = frame.module_offset(),
            function = redactor.clean(&function, NAME),
            "the component trapped"
        );
    }
}
