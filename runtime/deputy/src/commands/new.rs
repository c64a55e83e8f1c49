//! `deputy new`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use deputy_core::ComponentName;
use deputy_scaffold::{ConnectorKind, Language, NewConnector, ScaffoldError, create, update};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::sanitize;

/// Begin a connector: a folder that builds and passes its test
///
/// Writes a folder with an example that works, its test, the contract (WIT) and a kit for the language. Its README.md has the
/// few commands that build, test and use it. Nothing is downloaded, and no other program is run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy new provider acme --lang python
  deputy new receiver acme-files --lang rust
  deputy new --update acme")]
pub(crate) struct NewArgs {
    /// What it does
    #[arg(value_enum, required_unless_present = "update")]
    kind: Option<NewKind>,
    /// Its name, and that of the folder
    #[arg(value_name = "NAME", required_unless_present = "update")]
    name: Option<ComponentName>,
    /// In which language
    #[arg(long, value_enum, value_name = "LANGUAGE", required_unless_present = "update")]
    lang: Option<NewLanguage>,
    /// Renew contract and kit in a folder that this command made, and touch nothing else
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["kind", "name", "lang"], value_hint = ValueHint::DirPath)]
    update: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NewKind {
    /// Obtains tokens for one service
    Provider,
    /// Turns delivered tokens into files
    Receiver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NewLanguage {
    /// C, built by zig
    C,
    /// Go
    Go,
    /// JavaScript
    Js,
    /// Python
    Python,
    /// Rust
    Rust,
}

pub(crate) fn run(context: &Context, arguments: &NewArgs) -> Result<Exit, CommandError> {
    if let Some(folder) = &arguments.update {
        return renew(context, folder);
    }
    let (Some(kind), Some(name), Some(language)) = (arguments.kind, arguments.name.clone(), arguments.lang) else {
        return Err(CommandError::new(Exit::Misconfigured, "a kind, a name and --lang are needed"));
    };
    let connector = NewConnector { name, kind: kind.into(), language: language.into() };
    let folder = create(Path::new(""), &connector)?;
    let folder = folder.display();
    context.stdout(&format!("{folder} is written. {folder}/README.md says how to build, test and use it.\n"))?;
    Ok(Exit::Done)
}

fn renew(context: &Context, folder: &Path) -> Result<Exit, CommandError> {
    let updated = update(folder)?;
    let mut text = String::new();
    for (done, paths) in [("written", &updated.written), ("removed", &updated.removed)] {
        for path in paths {
            text.push_str(&format!("{done} {}\n", sanitize(path)));
        }
    }
    if text.is_empty() {
        text.push_str("contract and kit are those of this program already\n");
    }
    context.stdout(&text)?;
    Ok(Exit::Done)
}

impl From<NewKind> for ConnectorKind {
    fn from(kind: NewKind) -> Self {
        match kind {
            NewKind::Provider => Self::Provider,
            NewKind::Receiver => Self::Receiver,
        }
    }
}

impl From<NewLanguage> for Language {
    fn from(language: NewLanguage) -> Self {
        match language {
            NewLanguage::C => Self::C,
            NewLanguage::Go => Self::Go,
            NewLanguage::Js => Self::JavaScript,
            NewLanguage::Python => Self::Python,
            NewLanguage::Rust => Self::Rust,
        }
    }
}

impl From<ScaffoldError> for CommandError {
    fn from(error: ScaffoldError) -> Self {
        let exit = match error {
            ScaffoldError::Io(..) => Exit::Failed,
            _ => Exit::Misconfigured,
        };
        Self::new(exit, error)
    }
}
