//! What a command reports of a call.

use std::path::Path;

use deputy_config::{CoordinatorFile, SettingsOwner};
use deputy_core::grant::Scheme;
use deputy_core::{ComponentFailure, DeniedRequest, Instance, Limits, PolicyDenial, Principal, Span};
use deputy_files::shell_quoted;
use deputy_host::{failure_kind, secret_fault_text};
use deputy_sandbox::{Call, CallError, CallUsage};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failed_setting::{FailedSetting, OwnSettings};
use crate::print::{ERROR, HINT, Printer, WARNING, bytes, indented};

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct DenialJson {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The lines of configuration that would permit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct CallErrorJson {
    kind: &'static str,
    exit_code: u8,
    message: String,
    /// The service's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The setting that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    setting: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<FailedSetting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct UsageJson {
    requests: u32,
    secret_operations: u32,
    bytes_sent: u64,
    bytes_received: u64,
    /// The most that its instances had at once.
    memory_bytes: u64,
    /// Processor time, rounded up.
    cpu_ms: u64,
}

impl From<CallUsage> for UsageJson {
    fn from(usage: CallUsage) -> Self {
        Self {
            requests: usage.requests,
            secret_operations: usage.secret_operations,
            bytes_sent: usage.sent,
            bytes_received: usage.received,
            memory_bytes: usage.memory,
            cpu_ms: cpu_millis(usage),
        }
    }
}

/// Processor time in milliseconds, rounded up: a limit of that would do.
fn cpu_millis(usage: CallUsage) -> u64 {
    u64::try_from(usage.cpu.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// What a call used of the limits that are hard to guess.
pub(crate) fn usage_text(usage: CallUsage, limits: &Limits) -> String {
    let memory = bytes(usage.memory);
    format!("memory {memory} of {}, cpu {} ms of {}", limits.memory, cpu_millis(usage), limits.cpu)
}

pub(crate) fn exit<T>(call: &Call<T>) -> Exit {
    failure_kind(call).map_or(Exit::Done, Exit::from)
}

/// What was denied, with the configuration that would permit it.
pub(crate) fn denials(denials: &[PolicyDenial], principal: Principal<'_>) -> Vec<DenialJson> {
    denials
        .iter()
        .map(|denial| DenialJson { code: denial.code(), message: denial.to_string(), fix: denial.fix(principal) })
        .collect()
}

/// The error of a failed call.
pub(crate) fn error_json<T>(call: &Call<T>, settings: OwnSettings<'_>) -> Option<CallErrorJson> {
    let error = call.result.as_ref().err()?;
    let exit = exit(call);
    let own = match error {
        CallError::Failure(failure) => Some(failure),
        _ => None,
    };
    Some(CallErrorJson {
        kind: exit.word(),
        exit_code: exit.code(),
        message: message(call, error, settings),
        code: own.and_then(|failure| failure.code.clone()),
        setting: own.and_then(|failure| failure.setting.clone()),
        at: settings.of_call(error),
        retry_after_ms: own.and_then(|failure| failure.retry_after).map(Span::as_millis),
    })
}

/// The message of a failed call: first the line of the setting that is wrong, then what the host knows about its secrets,
/// then the component's own message.
fn message<T>(call: &Call<T>, error: &CallError, settings: OwnSettings<'_>) -> String {
    let text = match secret_fault_text(&call.secret_faults) {
        Some(faults) => format!("{}: {faults}; the component said: {error}", exit(call).word()),
        None => error.to_string(),
    };
    FailedSetting::locate(settings.of_call(error).as_ref(), &text)
}

/// The option of `deputy grant` that takes the printed lines.
const HINT_FILE: &str = " --hint FILE";

/// Prints the error of a call, what was denied and what would permit it, and what the component wrote.
pub(crate) fn print<T>(context: &Context, call: &Call<T>, instance: &Instance, config: &CoordinatorFile) {
    let printer = context.printer;
    let owner = SettingsOwner::Instance(instance.name.clone());
    let fixes = print_outcome(printer, call, instance, OwnSettings::new(&config.setting_lines, &owner));
    if fixes.is_empty() {
        return;
    }
    printer.labelled(HINT, "hint", &format!("to permit it, change {}:", config.path.display()));
    print_fixes(printer, &fixes);
    for command in grant_commands(&call.denials, instance) {
        let command = context.command(&command);
        printer.stderr("\n");
        let lines = if command.contains(HINT_FILE) { "with these lines in FILE, " } else { "" };
        printer.labelled(HINT, "hint", &format!("{lines}`{command}` shows that change, and writes it after a yes"));
    }
}

/// As [`print`], for a call that the command line describes.
pub(crate) fn print_unconfigured<T>(printer: Printer, call: &Call<T>, instance: &Instance) {
    let fixes = print_outcome(printer, call, instance, OwnSettings::of_command_line());
    if fixes.is_empty() {
        return;
    }
    printer.labelled(
        HINT,
        "hint",
        "--allow and --network permit more to this call; an instance of a configuration needs:",
    );
    print_fixes(printer, &fixes);
}

/// Prints the error of a call and what was denied. Returns the lines that would permit it.
fn print_outcome<T>(printer: Printer, call: &Call<T>, instance: &Instance, settings: OwnSettings<'_>) -> Vec<String> {
    if let Err(error) = &call.result {
        printer.labelled(ERROR, "error", &format!("{}: {}", instance.name, message(call, error, settings)));
        if let CallError::Failure(ComponentFailure { retry_after: Some(retry_after), .. }) = error {
            printer.labelled(HINT, "hint", &format!("try again in {retry_after}"));
        }
        if !call.log_tail.trim().is_empty() {
            printer.stderr("call failed; last lines of the component's stderr:\n");
            printer.stderr(&indented(&call.log_tail, "  | "));
        }
    }
    let denials = denials(&call.denials, Principal::Instance(instance));
    let style = if call.result.is_err() { ERROR } else { WARNING };
    for denial in &denials {
        printer.labelled(style, "denied by policy", &format!("{} [{}]", denial.message, denial.code));
    }
    let mut fixes: Vec<String> = denials.into_iter().filter_map(|denial| denial.fix).collect();
    fixes.dedup();
    fixes
}

fn print_fixes(printer: Printer, fixes: &[String]) {
    for fix in fixes {
        printer.stderr("\n");
        printer.stderr(&indented(fix, "    "));
    }
}

/// The commands that would permit what was denied, each once, without the name of the program and its configuration.
fn grant_commands(denials: &[PolicyDenial], instance: &Instance) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for denial in denials.iter().filter(|denial| denial.fix(Principal::Instance(instance)).is_some()) {
        let command = grant_command(denial, instance);
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    commands
}

fn grant_command(denial: &PolicyDenial, instance: &Instance) -> String {
    let name = &instance.name;
    match denial {
        PolicyDenial::Method { target, request } | PolicyDenial::Path { target, request } => {
            let DeniedRequest { method, path } = request.as_ref();
            let url = shell_quoted(Path::new(&format!("{target}{path}"))).to_string();
            format!("grant {name} --http {url} --method {method}")
        }
        PolicyDenial::Host { target } | PolicyDenial::Port { target } if target.scheme() == Scheme::Tcp => {
            format!("grant {name} --tcp {}:{}", target.host(), target.port())
        }
        // The rest has more to it than a command line says: the lines above are its input.
        _ => format!("grant {name}{HINT_FILE}"),
    }
}

#[cfg(test)]
mod tests {
    use deputy_audit::CallId;
    use deputy_config::SettingLines;
    use deputy_core::Limit;
    use deputy_core::failure::FailureNext;
    use deputy_sandbox::SecretFault;

    use super::*;

    fn call(result: Result<(), CallError>) -> Call<()> {
        Call {
            id: CallId(1),
            result,
            denials: Vec::new(),
            timeouts: Vec::new(),
            secret_faults: Vec::new(),
            usage: CallUsage::default(),
            requests: Vec::new(),
            log_tail: String::new(),
        }
    }

    fn failure(next: FailureNext, message: &str) -> ComponentFailure {
        let message = message.to_owned();
        ComponentFailure { next, message, code: None, setting: None, retry_after: None, facts: Vec::new() }
    }

    fn throttled() -> CallError {
        CallError::Failure(ComponentFailure {
            retry_after: Some(Span::secs(30)),
            ..failure(FailureNext::Throttled, "slow")
        })
    }

    #[test]
    fn call_report_has_the_exit_code_of_the_failure() {
        assert_eq!(exit(&call(Ok(()))), Exit::Done);
        assert_eq!(exit(&call(Err(throttled()))), Exit::Unavailable);
        assert_eq!(exit(&call(Err(CallError::Limit(Limit::Cpu)))), Exit::OverLimit);
        let refused = Call { denials: vec![PolicyDenial::Udp], ..call(Err(CallError::Invalid("a".into()))) };
        assert_eq!(exit(&refused), Exit::Refused);
    }

    #[test]
    fn call_report_puts_secret_faults_before_the_component_message() {
        let (lines, owner) = (SettingLines::default(), SettingsOwner::Instance("s3".parse().unwrap()));
        let settings = OwnSettings::new(&lines, &owner);
        for (fault, kind) in [
            (SecretFault::Source("secret a: /x can't be read".into()), "unavailable"),
            (SecretFault::Value("secret b: its value is no key".into()), "misconfigured"),
        ] {
            let denied = CallError::Failure(failure(FailureNext::Denied, "no"));
            let expected = format!("{kind}: {fault}; the component said: denied: no");
            let json = error_json(&Call { secret_faults: vec![fault], ..call(Err(denied)) }, settings).unwrap();
            assert_eq!((json.kind, json.message), (kind, expected));
        }
    }

    #[test]
    fn call_report_says_when_to_retry_a_throttled_call() {
        let (lines, owner) = (SettingLines::default(), SettingsOwner::Instance("s3".parse().unwrap()));
        let settings = OwnSettings::new(&lines, &owner);
        let json = error_json(&call(Err(throttled())), settings).unwrap();
        assert_eq!((json.kind, json.exit_code, json.retry_after_ms), ("unavailable", 4, Some(30_000)));
        assert_eq!(error_json(&call(Ok(())), settings), None);
    }

    #[test]
    fn call_report_has_the_configuration_that_permits_a_denied_use() {
        let (name, limits) = ("aws".parse().unwrap(), Limits::default());
        let denials = denials(&[PolicyDenial::Limit(Limit::Memory)], Principal::Receiver(&name, &limits));
        let [denial] = denials.as_slice() else { panic!("one denial") };
        assert_eq!(denial.code, "over-limit");
        let fix = denial.fix.as_deref().unwrap();
        assert!(fix.ends_with("\n[receivers.aws.limits]\nmemory = \"128MiB\" # \"64MiB\" now"), "{fix}");
    }
}
