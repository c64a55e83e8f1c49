//! The log on stderr.
//!
//! A daemon never waits for the reader of its log: lines go through a bounded queue to a thread, and are dropped and counted when
//! the queue is full. Other commands write directly, so that the log and what they print stay in order.

mod writer;

use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::commands::Command;
use crate::global_args::LogLevel;
use crate::print::Printer;
use writer::LogWriter;

/// The running log. A command that is no daemon has no queue.
pub(crate) struct Log(Option<LogWriter>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    /// JSON for a daemon whose log goes to no terminal.
    fn of(command: &Command) -> Self {
        if command.is_daemon() && !io::stderr().is_terminal() { Self::Json } else { Self::Text }
    }
}

pub(crate) fn start(level: LogLevel, command: &Command, printer: Printer) -> io::Result<Log> {
    let format = LogFormat::of(command);
    if !command.is_daemon() {
        init(level, format, printer, io::stderr);
        return Ok(Log(None));
    }
    let writer = LogWriter::start(io::stderr(), format == LogFormat::Json)?;
    init(level, format, printer, writer.clone());
    // The default hook would wait for the reader of stderr.
    panic::set_hook(Box::new(log_panic));
    Ok(Log(Some(writer)))
}

/// Logs events of Deputy's crates alone: those of dependencies may have secrets that were passed to them.
fn init(
    level: LogLevel,
    format: LogFormat,
    printer: Printer,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let ours = Targets::new().with_target("deputy", level);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(printer.colours_stderr());
    match format {
        LogFormat::Text => tracing_subscriber::registry().with(layer).with(ours).init(),
        LogFormat::Json => tracing_subscriber::registry().with(layer.json().with_ansi(false)).with(ours).init(),
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or_default();
    tracing::error!(at, "a thread panicked: {message}");
}

impl Log {
    /// Waits a moment for the queue, and returns whether it was written. If stderr is not read, printing an error there would keep
    /// the process from ending.
    pub(crate) fn is_read(&self) -> bool {
        self.0.as_ref().is_none_or(LogWriter::flush)
    }
}
