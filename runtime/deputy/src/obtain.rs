//! `deputy obtain`

use std::sync::Arc;

use std::path::Path;

use deputy_config::{CoordinatorFile, InstanceEntry};
use deputy_core::{Instance, Principal, Span, Timestamp, Tokens};
use deputy_observe::{Audit, AuditOutcome};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::audit_printer;
use crate::call_report::{self, CallErrorJson, RefusalJson, UsageJson};
use crate::cli;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::PayloadFile;
use crate::print::{Printer, WARNING};
use crate::sandbox;
use crate::table::Table;

/// The call, for a program to read. Never the payload.
#[derive(Serialize)]
struct ObtainJson<'a> {
    schema: u32,
    instance: &'a str,
    service: Option<String>,
    call: u64,
    /// RFC 3339; `null` if the service did not say.
    valid_until: Option<String>,
    payload_bytes: Option<usize>,
    out: Option<String>,
    usage: UsageJson,
    refusals: Vec<RefusalJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CallErrorJson>,
}

pub(crate) async fn run(context: &Context, arguments: &cli::ObtainArgs, now: Timestamp) -> Result<Exit, CommandError> {
    let config = context.configuration()?;
    let entry = find(&config, &arguments.instance)?;
    let instance = component(entry)?;
    if !entry.enabled {
        let text = format!("{} is not enabled: it is called because you name it", entry.name);
        context.printer.labelled(WARNING, "warning", &text);
    }
    if let Some(proxy) = context.unused_proxy() {
        context.printer.labelled(WARNING, "warning", &proxy);
    }
    // Before anything is obtained it is known that it can be kept.
    let output = arguments.out.as_deref().map(PayloadFile::prepare).transpose();
    let output = output.map_err(|error| CommandError::new(Exit::Failed, error))?;
    let audit = Arc::new(audit(context.printer, arguments, &config)?);
    let (state, key) = (context.state_dir(Some(&config)), config.coordinator.key.as_ref());
    let sandbox = sandbox::open_beside(state, key, Arc::clone(&audit)).await?;
    let provider = sandbox.load(instance).await?;
    let mut signals = Signals::new()?;
    let Some(call) = signals.interrupting(provider.obtain()).await else {
        // The call is over, and its end is in the audit trail.
        sandbox.settle().await;
        audit.flush().await;
        let error = CommandError::new(Exit::Failed, format!("{}: interrupted: the call was ended", instance.name));
        return Err(error.hint("what it had asked the service for may have been granted: see the audit trail"));
    };
    audit.flush().await;
    let exit = call_report::exit(&call);
    call_report::print(context.printer, &call, instance, &config.path.display().to_string());

    let out = match (&call.result, output) {
        (Ok(tokens), Some(output)) => {
            output.commit(tokens.payload.expose()).map_err(|error| CommandError::new(Exit::Failed, error))?;
            arguments.out.as_deref()
        }
        _ => None,
    };
    if arguments.json {
        let service = signals.interrupting(service(context, &config, instance)).await.flatten();
        let refusals = call_report::refusals(&call.denials, Principal::Instance(instance));
        let tokens = call.result.as_ref().ok();
        context.json(&ObtainJson {
            schema: SCHEMA,
            instance: instance.name.as_str(),
            service,
            call: call.id.0,
            valid_until: tokens.and_then(|tokens| tokens.valid_until).map(|time| time.to_string()),
            payload_bytes: tokens.map(|tokens| tokens.payload.len()),
            out: out.map(|path| path.display().to_string()),
            usage: call.usage.into(),
            refusals,
            error: call_report::error(&call),
        })?;
    } else if let Ok(tokens) = &call.result {
        if arguments.reveal {
            context.payload(tokens.payload.expose())?;
        } else if !audit_on_stdout(arguments) {
            let service = signals.interrupting(service(context, &config, instance)).await.flatten();
            context.data(&shown(instance, service.as_deref(), tokens, out, now))?;
        }
    }
    Ok(exit)
}

/// The signals that end the program.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, CommandError> {
        let failed = |error| CommandError::new(Exit::Failed, error).context("cannot wait for signals");
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        Ok(Self { interrupt, terminate })
    }

    /// What a future brings, unless a signal comes first; then the future is dropped.
    async fn interrupting<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            brought = future => Some(brought),
            _ = self.interrupt.recv() => None,
            _ = self.terminate.recv() => None,
        }
    }
}

fn find<'c>(config: &'c CoordinatorFile, name: &str) -> Result<&'c InstanceEntry, CommandError> {
    let found = config.instances.values().find(|instance| instance.name.as_str() == name);
    found.ok_or_else(|| {
        let path = config.path.display();
        let error = CommandError::new(Exit::Misconfigured, format!("there is no instance {name:?} in {path}"));
        let names: Vec<_> = config.instances.keys().map(|name| name.as_str()).collect();
        match names.as_slice() {
            [] => error.hint("the configuration has no instances: add [instances.NAME]"),
            names => error.hint(format!("the instances are {}", names.join(", "))),
        }
    })
}

/// What is called.
fn component(entry: &InstanceEntry) -> Result<&Instance, CommandError> {
    entry.component.as_ref().ok_or_else(|| {
        let error =
            CommandError::new(Exit::Misconfigured, format!("{} has no component that could be called", entry.name));
        match &entry.file {
            Some(file) => {
                error.hint(format!("its tokens are in {}, which another program maintains", file.path.display()))
            }
            None => error,
        }
    })
}

fn audit_on_stdout(arguments: &cli::ObtainArgs) -> bool {
    arguments.audit.as_deref() == Some(Path::new("-"))
}

/// The trail: for people on stderr, and as JSON lines where they are wanted.
fn audit(printer: Printer, arguments: &cli::ObtainArgs, config: &CoordinatorFile) -> Result<Audit, CommandError> {
    let audit = if audit_on_stdout(arguments) {
        if arguments.json || arguments.reveal {
            let error = "stdout holds one thing: --audit - excludes --json and --reveal";
            return Err(CommandError::new(Exit::Misconfigured, error).hint("give --audit a file"));
        }
        sandbox::audit(Some(Path::new("-")))?
    } else {
        sandbox::audit(arguments.audit.as_deref().or(config.audit.as_deref()))?
    };
    Ok(audit.watched(move |event| {
        // How it ended follows, and says all of it.
        if event.outcome != AuditOutcome::Begun {
            printer.stderr(&audit_printer::line(event));
        }
    }))
}

/// The service by the component's own word. It is asked in a sandbox of its own: the trail tells of the one call that
/// was asked for. Without an answer there is nothing to tell.
async fn service(context: &Context, config: &CoordinatorFile, instance: &Instance) -> Option<String> {
    let (state, key) = (context.state_dir(Some(config)), config.coordinator.key.as_ref());
    let sandbox = sandbox::open_beside(state, key, Arc::new(sandbox::nobody())).await.ok()?;
    let call = sandbox.load(instance).await.ok()?.service_name().await;
    call.result.ok().map(|service| service.to_string())
}

fn shown(instance: &Instance, service: Option<&str>, tokens: &Tokens, out: Option<&Path>, now: Timestamp) -> String {
    let mut table = Table::default();
    table.row(["instance", instance.name.as_str()]);
    if let Some(service) = service {
        table.row(["service", service]);
    }
    table.row(["valid until", &valid_until(tokens.valid_until, now)]);
    let payload = match out {
        Some(path) => format!("{} bytes, in {}", tokens.payload.len(), path.display()),
        None => format!("{} bytes, not shown: --reveal prints them, --out FILE keeps them", tokens.payload.len()),
    };
    table.row(["payload", &payload]);
    table.render(0)
}

fn valid_until(time: Option<Timestamp>, now: Timestamp) -> String {
    let Some(time) = time else { return "the service did not say".to_owned() };
    match time.as_secs().checked_sub(now.as_secs()).filter(|left| *left > 0) {
        Some(left) => format!("{time}, in {}", roughly(left)),
        None => format!("{time}, which is past"),
    }
}

/// A time with no more parts than people read.
fn roughly(secs: u64) -> Span {
    let grain = match secs {
        0..3600 => 1,
        3600..86_400 => 60,
        _ => 3600,
    };
    Span::secs(secs - secs % grain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_told_as_a_time_and_from_now() {
        let now = Timestamp::from_millis(1_440_938_160_500);
        let at = |millis: u64| valid_until(Some(Timestamp::from_millis(1_440_938_160_500 + millis)), now);
        assert_eq!(at(3_600_000), "2015-08-30T13:36:00.500Z, in 1h");
        assert_eq!(at(59_000), "2015-08-30T12:36:59.500Z, in 59s");
        assert_eq!(at(3_661_000), "2015-08-30T13:37:01.500Z, in 1h1m");
        assert_eq!(at(90_061_000), "2015-08-31T13:37:01.500Z, in 1d1h");
        assert_eq!(at(0), "2015-08-30T12:36:00.500Z, which is past");
        assert_eq!(valid_until(Some(Timestamp::from_millis(0)), now), "1970-01-01T00:00:00.000Z, which is past");
        assert_eq!(valid_until(None, now), "the service did not say");
        assert!(valid_until(Some(Timestamp::from_millis(u64::MAX)), now).starts_with("584556019-04-03T"));
    }
}
