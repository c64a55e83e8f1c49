//! `deputy completions`

use clap::Args;
use clap_complete::Shell;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Print a script that completes deputy's command line in a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy completions bash > /etc/bash_completion.d/deputy
  deputy completions zsh > ~/.zfunc/_deputy
  deputy completions fish > ~/.config/fish/completions/deputy.fish")]
pub(crate) struct CompletionsArgs {
    shell: Shell,
}

pub(crate) fn run(
    context: &Context,
    arguments: &CompletionsArgs,
    mut program: clap::Command,
) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "deputy", &mut script);
    context.stdout(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
