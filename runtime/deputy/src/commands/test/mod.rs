//! `deputy test`

mod record;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueHint};
use deputy_audit::{Audit, AuditOutcome};
use deputy_script::{CallReport, ScriptFile, ScriptReport, ScriptRunner, TestStage, find_scripts, junit};
use schemars::JsonSchema;
use serde::Serialize;

use crate::audit_printer;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::{ERROR, FAINT, GOOD, HINT, indented, sanitize, styled};
use crate::private_file::PrivateFile;
use crate::signals::StopSignals;
use record::RecordArgs;

/// Test a component against a script
///
/// Runs the component of each file in the sandbox, with the grant and the mock secrets of the file, against servers that
/// answer by the file. A name that the file does not have does not resolve. What differs from what the file expects is
/// shown, mock secrets and payloads included: keep real ones out of tests. With --record, it writes such a file from calls
/// against real servers. See docs/testing.md.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy test provider.test.toml
  deputy test tests --junit results.xml
  deputy test tests --watch
  deputy test provider.test.toml --conformance
  deputy test --record api.test.toml api.wasm --allow https://login.example.com
  deputy test --record s3.test.toml --instance s3-prod")]
pub(crate) struct TestArgs {
    /// Files, or folders with files whose names end in .test.toml; with --record, the component
    #[arg(required_unless_present_any = ["instance", "record"], value_name = "FILE", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Try the rules that every provider or receiver keeps, from the settings and the first good call of each file
    #[arg(long)]
    conformance: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "watch")]
    json: bool,
    /// Write the results to a file, in the XML of JUnit
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "watch")]
    junit: Option<PathBuf>,
    /// Test again when a file or a component has changed
    #[arg(long)]
    watch: bool,
    #[command(flatten, next_help_heading = "Recording")]
    record: RecordArgs,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct TestJson<'a> {
    schema: u32,
    ok: bool,
    files: &'a [ScriptReport],
}

pub(crate) async fn run(context: &Context, arguments: &TestArgs) -> Result<Exit, CommandError> {
    if let Some(target) = arguments.record.target() {
        return record::run(context, &arguments.record, &arguments.paths, target).await;
    }
    if arguments.record.has_grant() {
        let error =
            CommandError::new(Exit::Misconfigured, "--set, --allow and --network have no effect without --record");
        return Err(error.hint("a test has its settings and rules in its file"));
    }
    let mut signals = StopSignals::new()?;
    let runner = runner(context).await?;
    if arguments.watch {
        return signals.unless_stopped(watch::watch(context, arguments, &runner)).await.unwrap_or(Ok(Exit::Done));
    }
    let Some(reports) = signals.unless_stopped(test(context, arguments, &runner)).await else {
        return Err(CommandError::new(Exit::Failed, "interrupted during a test"));
    };
    let reports = reports?;
    if arguments.json {
        context.json(&TestJson { schema: SCHEMA, ok: is_ok(&reports), files: &reports })?;
    }
    if let Some(file) = &arguments.junit {
        PrivateFile::prepare(file)?.commit(junit(&reports).as_bytes())?;
    }
    Ok(if is_ok(&reports) { Exit::Done } else { Exit::Failed })
}

async fn runner(context: &Context) -> Result<ScriptRunner, CommandError> {
    let stage = Arc::new(TestStage::new()?);
    let audit = Arc::new(Audit::memory());
    let sandbox = context.sandbox_in(Arc::clone(&stage), Arc::clone(&audit)).await?;
    Ok(ScriptRunner::new(stage, sandbox, audit))
}

/// Runs all files, and prints the result of each for people.
async fn test(
    context: &Context,
    arguments: &TestArgs,
    runner: &ScriptRunner,
) -> Result<Vec<ScriptReport>, CommandError> {
    let mut reports = Vec::new();
    for path in paths(arguments)? {
        reports.push(test_file(context, arguments, runner, &path).await?);
    }
    if !arguments.json {
        print_summary(context, &reports)?;
    }
    Ok(reports)
}

async fn test_file(
    context: &Context,
    arguments: &TestArgs,
    runner: &ScriptRunner,
    path: &Path,
) -> Result<ScriptReport, CommandError> {
    let script = ScriptFile::load(path)?;
    let report = if arguments.conformance { runner.conform(&script).await? } else { runner.run(&script).await? };
    if !arguments.json {
        for call in &report.calls {
            context.stdout(&text(&report.file, call))?;
        }
    }
    Ok(report)
}

fn print_summary(context: &Context, reports: &[ScriptReport]) -> Result<(), CommandError> {
    let calls = || reports.iter().flat_map(|report| &report.calls);
    let failed = calls().filter(|call| !call.ok).count();
    let passed = calls().count() - failed;
    context.stdout(&format!("{passed} passed, {failed} failed\n"))
}

fn paths(arguments: &TestArgs) -> Result<Vec<PathBuf>, CommandError> {
    let mut paths = Vec::new();
    for path in &arguments.paths {
        paths.extend(find_scripts(path)?);
    }
    Ok(paths)
}

fn is_ok(reports: &[ScriptReport]) -> bool {
    reports.iter().all(|report| report.ok)
}

fn text(file: &str, call: &CallReport) -> String {
    let label = if call.ok { styled(GOOD, "ok    ") } else { styled(ERROR, "failed") };
    let mut text = format!("{label}  {}: {}\n", sanitize(file), sanitize(&call.name));
    if call.ok {
        return text;
    }
    for mismatch in &call.mismatches {
        text.push_str(&indented(&mismatch.to_string(), "  "));
    }
    for refusal in &call.refusals {
        text.push_str(&format!("  {} [{}] {}\n", styled(ERROR, "refused"), refusal.code, sanitize(&refusal.message)));
        if let Some(fix) = &refusal.fix {
            text.push_str(&format!("    {}: to permit it\n", styled(HINT, "hint")));
            text.push_str(&indented(fix, "      "));
        }
    }
    text.push_str(&format!("  {}\n", styled(FAINT, "what it did")));
    for event in call.events.iter().filter(|event| event.outcome != AuditOutcome::Begun) {
        text.push_str(&format!("    {}", audit_printer::timeless_line(event)));
    }
    if !call.stderr.trim().is_empty() {
        text.push_str(&format!("  {}\n", styled(FAINT, "its stderr")));
        text.push_str(&indented(&call.stderr, "    "));
    }
    text
}
