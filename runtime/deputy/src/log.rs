//! The log: events of our own crates on stderr.
//!
//! A process that serves never waits for whoever reads its log: lines go through a bounded queue to a thread, and those
//! for which there is no room are dropped and counted. A command that ends soon writes its own lines, so that they stand
//! in order with what else it prints.

mod writer;

use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{Command, LogLevel};
use crate::print::Printer;
use writer::LogWriter;

/// What remains to be done for the log when the process ends.
pub(crate) struct Log(Option<LogWriter>);

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Json,
}

impl Form {
    /// A service whose log no terminal shows is read by programs.
    fn of(command: &Command) -> Self {
        if command.runs_for_weeks() && !io::stderr().is_terminal() { Self::Json } else { Self::Lines }
    }
}

/// Begins the log.
pub(crate) fn start(level: LogLevel, command: &Command, printer: Printer) -> io::Result<Log> {
    let form = Form::of(command);
    if !command.runs_for_weeks() {
        init(level, form, printer, io::stderr);
        return Ok(Log(None));
    }
    let writer = LogWriter::start(io::stderr(), form == Form::Json)?;
    init(level, form, printer, writer.clone());
    // The default one would wait for the reader of stderr.
    panic::set_hook(Box::new(log_panic));
    Ok(Log(Some(writer)))
}

/// Events of our own crates alone: what others log may hold what they were handed.
fn init(level: LogLevel, form: Form, printer: Printer, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let ours = Targets::new().with_target("deputy", level);
    let format = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(printer.colours_notes());
    match form {
        Form::Lines => tracing_subscriber::registry().with(format).with(ours).init(),
        Form::Json => tracing_subscriber::registry().with(format.json().with_ansi(false)).with(ours).init(),
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or_default();
    tracing::error!(at, "a thread panicked: {message}");
}

impl Log {
    /// Waits a moment for what is queued to be written. Says whether stderr is still read: what is printed there when it
    /// is not would keep the process from ending.
    pub(crate) fn is_read(&self) -> bool {
        self.0.as_ref().is_none_or(LogWriter::flush)
    }
}
