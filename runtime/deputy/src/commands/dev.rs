//! `deputy dev`

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueHint};
use deputy_core::Instance;
use deputy_sandbox::Sandbox;
use deputy_sources::{FileFingerprint, ProcessGroup, exit_descriptor};
use tokio::process::Command;

use crate::call_report;
use crate::commands::call::{self, ComponentArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::look_pace::Look;
use crate::print::{ERROR, FAINT, indented, styled};
use crate::signals::StopSignals;

/// Build and call a provider again after each change
///
/// Runs the build, calls the component as `deputy call` does, and shows the result, the audit log, what was refused with what
/// would permit it, and what the component wrote to stderr. The payload is not shown. It looks at the files of --watch, but not at
/// what begins with a dot, at target and node_modules, at linked folders, or, with --build, at the component.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy dev provider.wasm --allow https://login.example.com
  deputy dev out/provider.wasm --build make --watch src --set scope=read")]
pub(crate) struct DevArgs {
    #[command(flatten)]
    component: ComponentArgs,
    /// The command that builds the component, run by `sh`
    #[arg(long, value_name = "COMMAND")]
    build: Option<String>,
    /// A file, or a folder with the sources [default: the current folder with --build, otherwise the component]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    watch: Vec<PathBuf>,
    /// End after the first call
    #[arg(long)]
    once: bool,
}

/// How long a build may take.
const BUILD: Duration = Duration::from_mins(20);
/// Entries of folders that are looked at.
const MAX_ENTRIES: usize = 5_000;
/// Folders within folders.
const MAX_DEPTH: usize = 16;
/// What tools build.
const SKIPPED: [&str; 2] = ["node_modules", "target"];

pub(crate) async fn run(context: &Context, arguments: &DevArgs) -> Result<Exit, CommandError> {
    let instance = arguments.component.instance()?;
    let sandbox = context.plain_sandbox(Arc::new(call::printed_trail(context))).await?;
    let mut signals = StopSignals::new()?;
    let ended = signals.unless_stopped(turns(context, arguments, &sandbox, &instance)).await;
    if ended.is_none() {
        sandbox.settle().await;
    }
    ended.unwrap_or(Ok(Exit::Done))
}

async fn turns(
    context: &Context,
    arguments: &DevArgs,
    sandbox: &Sandbox,
    instance: &Instance,
) -> Result<Exit, CommandError> {
    let mut seen = None;
    loop {
        let look = Look::begin();
        let found = fingerprints(arguments).await;
        let pause = look.end();
        if seen.as_ref() != Some(&found) {
            context.stdout(context.clear())?;
            let is_built = build(context, arguments).await?;
            // What the build wrote is no change.
            seen = Some(fingerprints(arguments).await);
            let exit = if is_built { call_once(context, arguments, sandbox, instance).await? } else { Exit::Failed };
            if arguments.once {
                return Ok(exit);
            }
            sandbox.prune().await;
        }
        if !context.is_stdout_read() {
            return Ok(Exit::Done);
        }
        deputy_support::pause(pause).await;
    }
}

/// Builds, and returns whether there is something to call. That the build fails is shown.
async fn build(context: &Context, arguments: &DevArgs) -> Result<bool, CommandError> {
    let Some(build) = &arguments.build else { return Ok(true) };
    context.stdout(&format!("{} {build}\n", styled(FAINT, "build")))?;
    let is_built = is_built(build).await?;
    if !is_built {
        context.printer.labelled(ERROR, "error", "the build failed");
    }
    Ok(is_built)
}

/// Calls once. That the call fails is shown.
async fn call_once(
    context: &Context,
    arguments: &DevArgs,
    sandbox: &Sandbox,
    instance: &Instance,
) -> Result<Exit, CommandError> {
    match call::call(sandbox, instance, arguments.component.function()).await {
        Ok(called) => {
            let outcome = called.call();
            call_report::print_unconfigured(context.printer, outcome, instance);
            if outcome.result.is_ok() && !outcome.log_tail.trim().is_empty() {
                context.printer.stderr("the component's stderr:\n");
                context.printer.stderr(&indented(&outcome.log_tail, "  | "));
            }
            context.stdout(&called.text(context, instance, "`deputy call --reveal` prints them"))?;
            Ok(call_report::exit(outcome))
        }
        Err(error) => Ok(context.fail(&error, false)),
    }
}

fn build_error(error: std::io::Error) -> CommandError {
    CommandError::new(Exit::Failed, error).context("cannot run the build")
}

async fn is_built(build: &str) -> Result<bool, CommandError> {
    let mut command = Command::new("sh");
    command.args(["-c", build]).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(build_error)?;
    let group = ProcessGroup::of(&child);
    let exit = exit_descriptor(&child).map_err(build_error)?;
    match tokio::time::timeout(BUILD, exit.readable()).await {
        Ok(ended) => ended.map_err(build_error)?.retain_ready(),
        Err(_) => return Err(CommandError::new(Exit::Failed, "the build did not end within 20 minutes")),
    }
    // Kills what the build left behind, before its shell is reaped.
    drop(group);
    Ok(child.wait().await.map_err(build_error)?.success())
}

/// What a change is a change of.
async fn fingerprints(arguments: &DevArgs) -> Vec<(PathBuf, Option<FileFingerprint>)> {
    let component = arguments.component.file();
    let mut roots = arguments.watch.clone();
    if roots.is_empty() {
        roots =
            if arguments.build.is_some() { vec![PathBuf::from(".")] } else { component.clone().into_iter().collect() };
    }
    let mut files = Vec::new();
    let mut left = MAX_ENTRIES;
    for root in roots {
        collect(&root, MAX_DEPTH, &mut left, &mut files);
    }
    if arguments.build.is_some() {
        files.retain(|file| component.as_deref().is_none_or(|component| !is_same(file, component)));
    }
    let mut fingerprints = Vec::new();
    for file in files {
        let fingerprint = FileFingerprint::of_file(&file).await.ok();
        fingerprints.push((file, fingerprint));
    }
    fingerprints
}

fn is_same(file: &Path, component: &Path) -> bool {
    file.strip_prefix("./").unwrap_or(file) == component.strip_prefix("./").unwrap_or(component)
}

/// The files of a folder. One that cannot be read has none.
#[expect(clippy::disallowed_methods, reason = "an edge: the author's folder")]
fn collect(path: &Path, depth: usize, left: &mut usize, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    let Ok(entries) = std::fs::read_dir(path) else { return };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).take(*left).collect();
    *left = left.saturating_sub(entries.len());
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A link to a folder may lead back here.
        let Ok(kind) = entry.file_type() else { continue };
        let is_linked_folder = kind.is_symlink() && entry.path().is_dir();
        let is_skipped = name.starts_with('.') || (kind.is_dir() && SKIPPED.contains(&name.as_ref()));
        if is_skipped || is_linked_folder || depth == 0 {
            continue;
        }
        collect(&entry.path(), depth.saturating_sub(1), left, files);
    }
}
