//! `deputy exit-codes`

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::table::Table;

/// Explain deputy's exit codes
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(crate) struct ExitCodesArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ExitCodesJson {
    schema: u32,
    codes: Vec<ExitCodeJson>,
}

#[derive(Serialize, JsonSchema)]
struct ExitCodeJson {
    code: u8,
    word: &'static str,
    meaning: &'static str,
}

impl From<Exit> for ExitCodeJson {
    fn from(exit: Exit) -> Self {
        Self { code: exit.code(), word: exit.word(), meaning: exit.meaning() }
    }
}

pub(crate) fn run(context: &Context, arguments: &ExitCodesArgs) -> Result<Exit, CommandError> {
    if arguments.json {
        let codes = Exit::ALL.into_iter().map(ExitCodeJson::from).collect();
        context.json(&ExitCodesJson { schema: SCHEMA, codes })?;
    } else {
        context.stdout(&table().render(0))?;
    }
    Ok(Exit::Done)
}

fn table() -> Table {
    let mut table = Table::default();
    for exit in Exit::ALL {
        table.row([exit.code().to_string().as_str(), exit.word(), exit.meaning()]);
    }
    table
}

fn help() -> String {
    format!("Codes:\n{}\nExamples:\n  deputy exit-codes\n  deputy exit-codes --json", table().render(2))
}
