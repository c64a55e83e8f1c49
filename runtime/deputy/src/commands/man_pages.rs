//! `deputy man-pages`, which users do not see: a release is made with it.

use std::collections::BTreeMap;

use clap::Args;
use clap_mangen::Man;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Print the manual pages of all commands as one JSON object: file names and texts
#[derive(Debug, Args)]
pub(crate) struct ManPagesArgs {}

pub(crate) fn run(context: &Context, program: clap::Command) -> Result<Exit, CommandError> {
    // `deputy help run` is no page of its own: it shows what `deputy run` has.
    let mut command = program.disable_help_subcommand(true);
    command.build();
    let mut pages = BTreeMap::new();
    render(&command, &mut pages).map_err(|error| CommandError::new(Exit::Internal, error))?;
    context.json(&pages)?;
    Ok(Exit::Done)
}

fn render(command: &clap::Command, pages: &mut BTreeMap<String, String>) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        render(below, pages)?;
    }
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    pages.insert(man.get_filename(), String::from_utf8_lossy(&page).into_owned());
    Ok(())
}
