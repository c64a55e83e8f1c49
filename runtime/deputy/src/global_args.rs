//! The options of all commands.

use std::ffi::OsStr;
use std::path::PathBuf;

use anstream::ColorChoice;
use clap::{Args, ValueEnum, ValueHint};

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct GlobalArgs {
    /// The configuration file [default: deputy.toml, for `worker` worker.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// The state directory [default: see `state` in the configuration]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) color: When,
    /// How much to log on stderr [default: info for `run` and `worker`, warn for all others]
    #[arg(long, global = true, value_name = "LEVEL", value_enum)]
    pub(crate) log: Option<LogLevel>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Always,
    Auto,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl When {
    /// The value of `--color` before the command line is parsed, since errors of parsing are coloured, too.
    pub(crate) fn of_arguments(arguments: &[impl AsRef<OsStr>]) -> Self {
        let mut arguments = arguments.iter().map(|argument| argument.as_ref().to_string_lossy());
        while let Some(argument) = arguments.next() {
            let when = match argument.strip_prefix("--color") {
                Some("") => arguments.next().map(|when| when.into_owned()),
                Some(rest) => rest.strip_prefix('=').map(str::to_owned),
                None => continue,
            };
            if let Some(when) = when.and_then(|when| Self::from_str(&when, false).ok()) {
                return when;
            }
        }
        Self::Auto
    }

    pub(crate) fn for_clap(self) -> clap::ColorChoice {
        match self {
            Self::Always => clap::ColorChoice::Always,
            Self::Auto => clap::ColorChoice::Auto,
            Self::Never => clap::ColorChoice::Never,
        }
    }
}

impl From<When> for ColorChoice {
    fn from(when: When) -> Self {
        match when {
            When::Always => Self::Always,
            When::Auto => Self::Auto,
            When::Never => Self::Never,
        }
    }
}
