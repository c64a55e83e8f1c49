//! Completions that know names: a shell calls this program while a person types.
//!
//! The names come from the running process, or else from the configuration. It asks once, waits a moment at most, prints
//! nothing but candidates, and has none where something is wrong.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use anstream::ColorChoice;
use clap::CommandFactory;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::CompleteEnv;
use deputy_config::ConfigNames;
use deputy_coordinator::{ControlClient, WorkerList, WorkerQuery};
use deputy_local::{ControlRequest, SocketClient};
use serde_json::Value;
use tokio::time::timeout;

use crate::cli::Cli;
use crate::context::Context;
use crate::environment::EnvConfig;
use crate::global_args::{GlobalArgs, When};
use crate::print::Printer;

/// Set by the script of `deputy completions` to the name of its shell.
pub(crate) const VARIABLE: &str = "DEPUTY_COMPLETE";

/// How long a person waits for candidates at the most.
const PATIENCE: Duration = Duration::from_millis(700);

/// Candidates with what is said of each.
type Names = BTreeMap<String, String>;

/// Prints the candidates that a shell asks for. Returns false if none does.
///
/// # Errors
/// If the shell is unknown, or stdout cannot be written.
pub(crate) fn complete(arguments: &[OsString]) -> clap::error::Result<bool> {
    let folder = std::env::current_dir().ok();
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).try_complete(arguments, folder.as_deref())
}

/// The instances of the process that serves leases, or else of the configuration.
pub(crate) fn instances(current: &OsStr) -> Vec<CompletionCandidate> {
    let Asked { context, socket } = Asked::read();
    let held = context.lease_socket(socket.as_deref()).ok().and_then(|(path, peer)| {
        ask(async || {
            SocketClient::new(&path, peer).json::<Value>(&ControlRequest::Status, &Default::default()).await.ok()
        })
    });
    let names = held.map(|status| held_instances(&status)).unwrap_or_else(|| configured(&context).instances);
    candidates(names, current)
}

/// The instances of the configuration, for commands that need no running process.
pub(crate) fn configured_instances(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(configured(&Asked::read().context).instances, current)
}

/// The groups of the configuration, and those of workers.
pub(crate) fn groups(current: &OsStr) -> Vec<CompletionCandidate> {
    let asked = Asked::read();
    let mut groups = configured(&asked.context).groups;
    for worker in asked.workers().map(|list| list.workers).unwrap_or_default() {
        groups.entry(worker.group).or_default();
    }
    candidates(groups, current)
}

/// The logins of the configuration.
pub(crate) fn logins(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(configured(&Asked::read().context).logins, current)
}

/// The components that are installed, and files.
pub(crate) fn components(current: &OsStr) -> Vec<CompletionCandidate> {
    let Asked { context, .. } = Asked::read();
    let folder = context.found_config().ok().and_then(|found| found.components);
    let installed = ask(async || context.platform().ok()?.components.list(folder.as_deref()).await.ok());
    let names = installed.unwrap_or_default().into_keys().map(|name| (name.to_string(), String::new()));
    let mut offered = candidates(names.collect(), current);
    offered.extend(
        PathCompleter::file().filter(|path| path.extension().is_some_and(|end| end == "wasm")).complete(current),
    );
    offered
}

/// The networks that have a name.
pub(crate) fn networks(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = ["link-local", "loopback", "private"].map(|name| (name.to_owned(), String::new()));
    candidates(names.into(), current)
}

/// The ids of workers, each with its group and state.
pub(crate) fn workers(current: &OsStr) -> Vec<CompletionCandidate> {
    let workers = Asked::read().workers().map(|list| list.workers).unwrap_or_default();
    let about = workers.into_iter().map(|worker| {
        let about = format!("{}, {}", worker.group, worker.condition().word());
        (worker.id, about)
    });
    candidates(about.collect(), current)
}

/// What the command line that is being typed asks, and how.
struct Asked {
    context: Context,
    socket: Option<PathBuf>,
}

impl Asked {
    /// The shell passes the words after `--`.
    fn read() -> Self {
        let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
        let global = GlobalArgs {
            config: option(&words, "--config"),
            state: option(&words, "--state"),
            color: When::Never,
            log: None,
        };
        let context = Context::new(Printer::new(ColorChoice::Never), &global, EnvConfig::read());
        Self { context, socket: option(&words, "--socket") }
    }

    /// The coordinator's first page of workers.
    fn workers(&self) -> Option<WorkerList> {
        let (path, peer) = self.context.control_socket(self.socket.as_deref()).ok()?;
        ask(async || ControlClient::new(&path, peer).workers(&WorkerQuery::default()).await.ok())
    }
}

/// What `question` returns within a moment.
fn ask<T>(question: impl AsyncFnOnce() -> Option<T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async { timeout(PATIENCE, question()).await.ok().flatten() })
}

/// The value of an option in words that may be incomplete: `--config FILE` or `--config=FILE`.
fn option(words: &[OsString], name: &str) -> Option<PathBuf> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.to_str().and_then(|word| word.strip_prefix(name)) {
            Some("") => return words.next().map(PathBuf::from),
            Some(rest) if rest.starts_with('=') => return rest.get(1..).map(PathBuf::from),
            _ => {}
        }
    }
    None
}

/// The instances in the status of a coordinator or of a worker, each with its state.
fn held_instances(status: &Value) -> Names {
    let instances = status.get("instances").and_then(Value::as_array).into_iter().flatten();
    let text = |instance: &Value, key: &str| instance.get(key).and_then(Value::as_str).map(str::to_owned);
    instances
        .filter_map(|instance| Some((text(instance, "name")?, text(instance, "state").unwrap_or_default())))
        .collect()
}

/// What the configuration names.
#[derive(Default)]
struct Configured {
    instances: Names,
    groups: Names,
    logins: Names,
}

fn configured(context: &Context) -> Configured {
    // Nothing else ends: a shell waits for the answer.
    let path = context.coordinator_path().filter(|path| path.is_file());
    let names = path.and_then(|path| ConfigNames::load(&path).ok()).unwrap_or_default();
    let named =
        |names: std::collections::BTreeSet<String>| names.into_iter().map(|name| (name, String::new())).collect();
    Configured { instances: named(names.instances), groups: named(names.groups), logins: named(names.logins) }
}

fn candidates(names: Names, current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let matching = names.into_iter().filter(|(name, _)| name.starts_with(&*current) && is_name(name));
    matching
        .map(|(name, about)| {
            let help = (!about.is_empty()).then(|| crate::print::sanitize(&about).into());
            CompletionCandidate::new(name).help(help)
        })
        .collect()
}

/// Whether a name, which may come from a file of another author, is harmless on a command line and on a terminal.
fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_finds_options_in_words_that_are_being_typed() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (text, expected) in [
            ("deputy --config a.toml status", Some("a.toml")),
            ("deputy status --config=b.toml", Some("b.toml")),
            ("deputy status --config", None),
            ("deputy status --configuration c.toml", None),
        ] {
            assert_eq!(option(&words(text), "--config"), expected.map(PathBuf::from), "{text}");
        }
    }

    #[test]
    fn completion_offers_nothing_that_a_shell_or_a_terminal_runs() {
        let names =
            ["s3", "x;reboot", "a\u{1b}]0;pwned\u{7}", "$(id)", "a b"].map(|name| (name.to_owned(), String::new()));
        let offered = candidates(names.into_iter().collect(), OsStr::new(""));
        assert_eq!(offered.iter().map(CompletionCandidate::get_value).collect::<Vec<_>>(), ["s3"]);
    }

    #[test]
    fn completion_has_the_instances_of_a_status_with_their_states() {
        let status = serde_json::json!({"instances": [{"name": "s3", "state": "holding"}, {"name": "vault"}, 7]});
        let expected = [("s3", "holding"), ("vault", "")].map(|(name, state)| (name.to_owned(), state.to_owned()));
        assert_eq!(held_instances(&status), expected.into());
        assert!(held_instances(&Value::Null).is_empty());
    }
}
