//! `deputy test --record`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueHint};
use deputy_config::CoordinatorFile;
use deputy_core::{ComponentRef, Instance, SecretBytes, SecretName};
use deputy_sandbox::{LoadedProvider, Sandbox};
use deputy_script::{RecordedFunction, RecordedInstance, RecordedWorld, Recording};
use deputy_sources::ValueShape;

use super::runner;
use crate::call_report;
use crate::commands::call::{CallGrantArgs, printed_trail};
use crate::commands::obtain::{component, find};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::WARNING;
use crate::private_file::{PrivateFileError, create_private_file};
use crate::signals::StopSignals;

/// What is recorded.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Call the component FILE, or an instance, against its real servers, and write this test of it
    #[arg(long, value_name = "TEST", value_hint = ValueHint::FilePath, conflicts_with_all = ["conformance", "json", "junit", "watch"])]
    record: Option<PathBuf>,
    /// Record an instance of the configuration, with its grant and its secrets, instead of a component
    #[arg(long, value_name = "NAME", requires = "record", conflicts_with_all = ["paths", "set", "allow", "network"])]
    instance: Option<String>,
    /// Record a renewal of what was obtained as well
    #[arg(long, requires = "record")]
    renew: bool,
    /// Record the revocation of what was obtained as the last call
    #[arg(long, requires = "record")]
    revoke: bool,
    #[command(flatten)]
    grant: CallGrantArgs,
}

/// What is called.
struct Subject {
    instance: Instance,
    written: RecordedInstance,
    config: Option<CoordinatorFile>,
}

impl RecordArgs {
    /// Where the test goes. `None`: nothing is recorded.
    pub(super) fn target(&self) -> Option<&Path> {
        self.record.as_deref()
    }

    pub(super) fn has_grant(&self) -> bool {
        !self.grant.is_empty()
    }

    fn subject(&self, context: &Context, paths: &[PathBuf]) -> Result<Subject, CommandError> {
        if let Some(name) = &self.instance {
            let (_, text) = context.configuration_text()?;
            let config = context.configuration()?;
            let instance = component(find(&config, name)?)?.clone();
            let written = RecordedInstance::of_configuration(&text, name);
            return Ok(Subject { instance, written, config: Some(config) });
        }
        let [path] = paths else {
            let error = CommandError::new(Exit::Misconfigured, "--record takes one component, or --instance NAME");
            return Err(error);
        };
        let path = path.to_string_lossy().parse::<ComponentRef>();
        let instance = self.grant.instance(&path.map_err(|error| CommandError::new(Exit::Misconfigured, error))?)?;
        if !instance.grant.tcp.is_empty() {
            return Err(CommandError::new(Exit::Misconfigured, "only HTTP can be recorded: --allow needs a URL"));
        }
        let written = RecordedInstance::of_rules(&instance.settings, &instance.grant.http);
        Ok(Subject { instance, written, config: None })
    }

    fn functions(&self) -> Vec<RecordedFunction> {
        let more = [(self.renew, RecordedFunction::Renew), (self.revoke, RecordedFunction::Revoke)];
        let more = more.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, function)| function);
        std::iter::once(RecordedFunction::Obtain).chain(more).collect()
    }
}

/// Records, and returns how the calls went.
pub(super) async fn run(
    context: &Context,
    arguments: &RecordArgs,
    paths: &[PathBuf],
    target: &Path,
) -> Result<Exit, CommandError> {
    // Before a call, whose tokens would be lost.
    if target.symlink_metadata().is_ok() {
        return Err(PrivateFileError::Exists(target.to_owned()).into());
    }
    let subject = arguments.subject(context, paths)?;
    let secrets = secrets(context, &subject.instance).await?;
    let audit = Arc::new(printed_trail(context));
    let world = Arc::new(RecordedWorld::new(context.now(), seed(context)?));
    let sandbox = context.sandbox_in(Arc::clone(&world), Arc::clone(&audit)).await?;
    let provider = sandbox.load(&subject.instance).await?;
    check_exports(&provider, arguments)?;
    let recording = Recording::new(world, subject.instance.clone(), subject.written.clone(), secrets, seed(context)?)?;
    let provider = recording.with_state(provider);
    let component = component_path(&subject.instance, &provider, target)?;
    let mut signals = StopSignals::new()?;
    let recorded = record(context, arguments, &sandbox, &subject, recording, &provider);
    let Some(recorded) = signals.unless_stopped(recorded).await else {
        sandbox.settle().await;
        return Err(CommandError::new(Exit::Failed, "interrupted: nothing was written"));
    };
    audit.flush().await;
    let recording = match recorded? {
        Ok(recording) => recording,
        Err(exit) => return Ok(exit),
    };
    // Now, since no test may come of it.
    if provider.info().revokes && !arguments.revoke {
        let text = "what was obtained stays valid until it expires: --revoke would have revoked it";
        context.printer.labelled(WARNING, "warning", text);
    }
    let runner = runner(context).await?;
    let Some(script) = signals.unless_stopped(recording.script(&runner, target, &component)).await else {
        return Err(CommandError::new(Exit::Failed, "interrupted: nothing was written"));
    };
    create_private_file(target, script?.as_bytes())?;
    context.stdout(&format!("{} is written, and passes: read it before you give it away\n", target.display()))?;
    Ok(Exit::Done)
}

/// Makes the calls. A failed one is shown, and ends them.
async fn record(
    context: &Context,
    arguments: &RecordArgs,
    sandbox: &Sandbox,
    subject: &Subject,
    mut recording: Recording,
    provider: &LoadedProvider,
) -> Result<Result<Recording, Exit>, CommandError> {
    for function in arguments.functions() {
        let Some(call) = recording.call(provider, function).await else {
            return Err(CommandError::new(Exit::Internal, "a recorded function is not exported"));
        };
        match &subject.config {
            Some(config) => call_report::print(context, &call, &subject.instance, config),
            None => call_report::print_unconfigured(context.printer, &call, &subject.instance),
        }
        if call.result.is_err() {
            sandbox.settle().await;
            return Ok(Err(call_report::exit(&call)));
        }
    }
    Ok(Ok(recording))
}

fn check_exports(provider: &LoadedProvider, arguments: &RecordArgs) -> Result<(), CommandError> {
    let info = provider.info();
    for (is_wanted, is_there, name) in
        [(arguments.renew, info.renews, "renewal"), (arguments.revoke, info.revokes, "revocation")]
    {
        if is_wanted && !is_there {
            let text = format!("{} does not export `{name}`", info.path.display());
            return Err(CommandError::new(Exit::Misconfigured, text));
        }
    }
    Ok(())
}

async fn secrets(
    context: &Context,
    instance: &Instance,
) -> Result<BTreeMap<SecretName, Arc<SecretBytes>>, CommandError> {
    let sources = context.platform()?.sources;
    let mut secrets = BTreeMap::new();
    for (name, source) in &instance.sources {
        let value = deputy_sources::read(source, ValueShape::SECRET, &sources).await;
        let value = value.map_err(|error| CommandError::new(Exit::Failed, error).context("cannot read a secret"))?;
        secrets.insert(name.clone(), Arc::new(value));
    }
    Ok(secrets)
}

/// The component talks to real servers: its random numbers are not for others to guess, and the test has a seed of its own.
/// Half of the range, since TOML has no larger number.
fn seed(context: &Context) -> Result<u64, CommandError> {
    let mut bytes = [0; 8];
    let filled = context.platform()?.random.fill(&mut bytes);
    filled.map_err(|_| CommandError::new(Exit::Internal, "the operating system gives no random numbers"))?;
    Ok(u64::from_le_bytes(bytes) >> 1)
}

/// The component as the test names it: by a path from the test, or by its name where every command finds it.
fn component_path(instance: &Instance, provider: &LoadedProvider, target: &Path) -> Result<String, CommandError> {
    if let ComponentRef::Installed { name, folder: None } = &instance.component {
        return Ok(name.to_string());
    }
    let failed = |error| CommandError::new(Exit::Failed, error).context("cannot tell the current directory");
    let file = std::path::absolute(&provider.info().path).map_err(failed)?;
    let target = std::path::absolute(target).map_err(failed)?;
    let from = target.parent().unwrap_or(Path::new("/"));
    let common = from.components().zip(file.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| "..");
    let path: PathBuf =
        up.map(Path::new).chain([file.components().skip(common).collect::<PathBuf>().as_path()]).collect();
    Ok(path.display().to_string())
}
