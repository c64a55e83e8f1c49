//! `deputy obtain`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use deputy_audit::{Audit, AuditOutcome};
use deputy_config::{CoordinatorFile, InstanceEntry, SettingsOwner};
use deputy_core::{Instance, Principal, Timestamp, TokenExpiry, Tokens};
use deputy_host::sandbox::open_audit;
use deputy_local::FactStatus;
use deputy_sandbox::{Call, CallUsage, RequiredObtain};
use schemars::JsonSchema;
use serde::Serialize;

use crate::audit_printer;
use crate::call_report::{self, CallErrorJson, DenialJson, UsageJson};
use crate::completion;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::failed_setting::OwnSettings;
use crate::print::{Printer, WARNING, payload_text};
use crate::private_file::PrivateFile;
use crate::relative_time::short_time;
use crate::signals::StopSignals;
use crate::table::Table;

/// Obtain credentials once
///
/// Calls the provider of one instance once, if its settings require tokens. The audit log goes to stderr; the payload is not shown unless --reveal prints it
/// or --out writes it to a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy obtain s3-prod
  deputy obtain s3-prod --out credentials.json
  deputy obtain s3-prod --reveal | jq -r .AccessKeyId
  deputy obtain s3-prod --json --audit audit.jsonl")]
pub(crate) struct ObtainArgs {
    /// The name of an instance in the configuration
    #[arg(add = ArgValueCompleter::new(completion::configured_instances))]
    instance: String,
    /// Print the payload, and nothing else, on stdout
    #[arg(long, conflicts_with = "json")]
    reveal: bool,
    /// Write the payload to a file that only its owner can read (mode 0600)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Print one JSON object, without the payload
    #[arg(long)]
    json: bool,
    /// Append the audit log as JSON lines to a file, too; - is stdout [default: see `audit` in the configuration]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    audit: Option<PathBuf>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ObtainJson<'a> {
    schema: u32,
    instance: &'a str,
    service: Option<String>,
    call: u64,
    /// The component's answer; `null` if that call failed.
    tokens_required: Option<bool>,
    kind: Option<String>,
    /// RFC 3339, or `never`; `null` if the service did not say.
    valid_until: Option<String>,
    /// Nothing newer can be obtained before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewable_until: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    facts: Vec<FactStatus>,
    payload_bytes: Option<usize>,
    out: Option<String>,
    usage: UsageJson,
    refusals: Vec<DenialJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CallErrorJson>,
}

pub(crate) async fn run(context: &Context, arguments: &ObtainArgs) -> Result<Exit, CommandError> {
    let config = context.configuration()?;
    let entry = find(&config, &arguments.instance)?;
    let instance = component(entry)?;
    print_warnings(context, entry);
    // Before the call, so that no payload is obtained that cannot be written.
    let file = arguments.out.as_deref().map(PrivateFile::prepare).transpose()?;
    let audit = Arc::new(open_trail(context.printer, arguments, &config)?);
    let sandbox = context.sandbox(&config, Arc::clone(&audit)).await?;
    let provider = sandbox.load(instance).await?;
    let mut signals = StopSignals::new()?;
    let Some(called) = signals.unless_stopped(provider.obtain_if_required()).await else {
        // Until the end of the call is in the audit log.
        sandbox.settle().await;
        audit.flush().await;
        let error = CommandError::new(Exit::Failed, format!("{}: interrupted during the call", instance.name));
        return Err(error.hint("the service may have granted what the component requested: see the audit log"));
    };
    audit.flush().await;
    let call = match called {
        RequiredObtain::Called(call) => call,
        RequiredObtain::NotRequired(call) => {
            call_report::print(context, &call, instance, &config);
            return not_required(context, arguments, instance, &call, &config);
        }
    };
    call_report::print(context, &call, instance, &config);
    if let (Ok(tokens), Some(file)) = (&call.result, file) {
        file.commit(tokens.payload.expose())?;
    }
    if arguments.json {
        let service = signals.unless_stopped(service_name(context, &config, instance)).await.flatten();
        let error = call_error(&config, instance, &call);
        context.json(&json(arguments, instance, &call, Some(true), call.result.as_ref().ok(), service, error))?;
    } else if let Ok(tokens) = &call.result {
        if arguments.reveal {
            context.payload(tokens.payload.expose())?;
        } else if !arguments.has_audit_on_stdout() {
            let service = signals.unless_stopped(service_name(context, &config, instance)).await.flatten();
            context.stdout(&text(arguments, instance, service.as_deref(), tokens, call.usage, context.now()))?;
        }
    }
    Ok(call_report::exit(&call))
}

fn not_required(
    context: &Context,
    arguments: &ObtainArgs,
    instance: &Instance,
    call: &Call<bool>,
    config: &CoordinatorFile,
) -> Result<Exit, CommandError> {
    if arguments.json {
        let error = call_error(config, instance, call);
        context.json(&json(arguments, instance, call, call.result.as_ref().ok().copied(), None, None, error))?;
    } else if call.result.is_ok() {
        let text = format!("{}: no tokens are required with these settings; nothing was obtained", instance.name);
        context.printer.labelled(WARNING, "warning", &text);
    }
    Ok(call_report::exit(call))
}

impl ObtainArgs {
    fn has_audit_on_stdout(&self) -> bool {
        self.audit.as_deref() == Some(Path::new("-"))
    }
}

pub(super) fn find<'c>(config: &'c CoordinatorFile, name: &str) -> Result<&'c InstanceEntry, CommandError> {
    let found = config.instances.values().find(|instance| instance.name.as_str() == name);
    found.ok_or_else(|| {
        let text = format!("{} has no instance {name:?}", config.path.display());
        let error = CommandError::new(Exit::Misconfigured, text);
        if config.instances.is_empty() {
            return error.hint("the configuration has no instance: add [instances.NAME]");
        }
        let names: Vec<_> = config.instances.keys().map(|name| name.as_str()).collect();
        error.hint(format!("the instances are {}", names.join(", ")))
    })
}

pub(super) fn component(entry: &InstanceEntry) -> Result<&Instance, CommandError> {
    entry.component.as_ref().ok_or_else(|| {
        let error = CommandError::new(Exit::Misconfigured, format!("{} has no component to call", entry.name));
        match &entry.file {
            Some(file) => {
                error.hint(format!("its tokens are in {}, which another program maintains", file.path.display()))
            }
            None => error,
        }
    })
}

fn print_warnings(context: &Context, entry: &InstanceEntry) {
    if !entry.enabled {
        let text = format!("{} is not enabled; it is called because you named it", entry.name);
        context.printer.labelled(WARNING, "warning", &text);
    }
    context.print_unused_proxy_warning();
}

/// The audit log: on stderr for people, and as JSON lines where the operator wants them.
fn open_trail(printer: Printer, arguments: &ObtainArgs, config: &CoordinatorFile) -> Result<Audit, CommandError> {
    if arguments.has_audit_on_stdout() && (arguments.json || arguments.reveal) {
        let error = "--audit - cannot be used with --json or --reveal: both write to stdout";
        return Err(CommandError::new(Exit::Misconfigured, error).hint("use --audit FILE"));
    }
    let audit = open_audit(arguments.audit.as_deref().or(config.audit.as_deref()))?;
    Ok(audit.watched(move |event| {
        // An event for the outcome follows each event for a beginning, and has all that it has.
        if event.outcome != AuditOutcome::Begun {
            printer.stderr(&audit_printer::line(event));
        }
    }))
}

/// The service that the component names. It is asked in a sandbox of its own, so that the trail has the one call that the
/// operator asked for.
async fn service_name(context: &Context, config: &CoordinatorFile, instance: &Instance) -> Option<String> {
    let sandbox = context.sandbox(config, Arc::new(Audit::nowhere())).await.ok()?;
    let call = sandbox.load(instance).await.ok()?.service_name().await;
    call.result.ok().map(|service| service.to_string())
}

fn call_error<T>(config: &CoordinatorFile, instance: &Instance, call: &Call<T>) -> Option<CallErrorJson> {
    let owner = SettingsOwner::Instance(instance.name.clone());
    call_report::error_json(call, OwnSettings::new(&config.setting_lines, &owner))
}

fn json<'a, T>(
    arguments: &ObtainArgs,
    instance: &'a Instance,
    call: &Call<T>,
    tokens_required: Option<bool>,
    tokens: Option<&Tokens>,
    service: Option<String>,
    error: Option<CallErrorJson>,
) -> ObtainJson<'a> {
    let out = arguments.out.as_ref().filter(|_| tokens.is_some());
    ObtainJson {
        schema: SCHEMA,
        instance: instance.name.as_str(),
        service,
        call: call.id.0,
        tokens_required,
        kind: tokens.map(|tokens| tokens.kind.to_string()),
        valid_until: tokens.and_then(|tokens| stated_expiry(tokens.expiry)).map(|time| time.to_string()),
        next_at: tokens.and_then(|tokens| tokens.next_at).map(|time| time.to_string()),
        renewable_until: tokens.and_then(|tokens| tokens.renewable_until).map(|time| time.to_string()),
        facts: tokens.map(|tokens| tokens.facts.iter().map(FactStatus::from).collect()).unwrap_or_default(),
        payload_bytes: tokens.map(|tokens| tokens.payload.len()),
        out: out.map(|path| path.display().to_string()),
        usage: call.usage.into(),
        refusals: call_report::denials(&call.denials, Principal::Instance(instance)),
        error,
    }
}

fn text(
    arguments: &ObtainArgs,
    instance: &Instance,
    service: Option<&str>,
    tokens: &Tokens,
    usage: CallUsage,
    now: Timestamp,
) -> String {
    let mut table = Table::default();
    table.row(["instance", instance.name.as_str()]);
    if let Some(service) = service {
        table.row(["service", service]);
    }
    token_rows(&mut table, tokens, &payload_text(tokens.payload.len(), arguments.out.as_deref()), now);
    table.row(["usage", &call_report::usage_text(usage, &instance.limits)]);
    table.render(0)
}

/// What people see of tokens.
pub(super) fn token_rows(table: &mut Table, tokens: &Tokens, payload: &str, now: Timestamp) {
    table.row(["kind", tokens.kind.as_str()]);
    table.row(["valid until", &expiry_text(stated_expiry(tokens.expiry), now)]);
    if let Some(at) = tokens.next_at {
        table.row(["next at", &expiry_text(Some(at), now)]);
    }
    if let Some(until) = tokens.renewable_until {
        table.row(["renewable", &format!("until {}", expiry_text(Some(until), now))]);
    }
    for fact in &tokens.facts {
        table.row(["", &format!("{}: {}", fact.name, fact.value)]);
    }
    table.row(["payload", payload]);
}

fn stated_expiry(expiry: TokenExpiry) -> Option<Timestamp> {
    match expiry {
        TokenExpiry::Unknown => None,
        TokenExpiry::Never => Some(Timestamp::FOREVER),
        TokenExpiry::At(at) => Some(at),
    }
}

fn expiry_text(expiry: Option<Timestamp>, now: Timestamp) -> String {
    let Some(expiry) = expiry else { return "unknown: the service did not say".to_owned() };
    if expiry == Timestamp::FOREVER {
        return expiry.to_string();
    }
    match expiry.as_secs().checked_sub(now.as_secs()).filter(|left| *left > 0) {
        Some(left) => format!("{expiry}, in {}", short_time(left.saturating_mul(1000))),
        None => format!("{expiry}, already expired"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obtain_shows_the_expiry_as_a_time_and_from_now() {
        let now = Timestamp::from_millis(1_440_938_160_500);
        let at = |millis: u64| expiry_text(Some(Timestamp::from_millis(1_440_938_160_500 + millis)), now);
        assert_eq!(at(3_600_000), "2015-08-30T13:36:00.500Z, in 1h");
        assert_eq!(at(59_000), "2015-08-30T12:36:59.500Z, in 59s");
        assert_eq!(at(3_661_000), "2015-08-30T13:37:01.500Z, in 1h1m");
        assert_eq!(at(90_061_000), "2015-08-31T13:37:01.500Z, in 1d1h");
        assert_eq!(at(0), "2015-08-30T12:36:00.500Z, already expired");
        assert_eq!(expiry_text(Some(Timestamp::from_millis(0)), now), "1970-01-01T00:00:00.000Z, already expired");
        assert_eq!(expiry_text(None, now), "unknown: the service did not say");
        assert_eq!(expiry_text(Some(Timestamp::FOREVER), now), "never");
        assert!(expiry_text(Some(Timestamp::from_millis(u64::MAX - 1)), now).starts_with("584556019-04-03T"));
    }
}
