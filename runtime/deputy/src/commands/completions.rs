//! `deputy completions`

use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::completion::VARIABLE;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Print a script that completes deputy's command line in a shell
///
/// The script calls this program, which asks the running coordinator or worker for the names of instances, groups and workers,
/// or else reads the configuration.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy completions bash > /etc/bash_completion.d/deputy
  deputy completions zsh > ~/.zfunc/_deputy
  deputy completions fish > ~/.config/fish/completions/deputy.fish")]
pub(crate) struct CompletionsArgs {
    shell: Shell,
}

pub(crate) fn run(context: &Context, arguments: &CompletionsArgs) -> Result<Exit, CommandError> {
    let name = arguments.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells
        .completer(&name)
        .ok_or_else(|| CommandError::new(Exit::Internal, format!("no completions for the shell {name}")))?;
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "deputy", "deputy", "deputy", &mut script)
        .map_err(|error| CommandError::new(Exit::Failed, error).context("cannot write the script"))?;
    context.stdout(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
