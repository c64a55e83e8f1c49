//! How a workload learns of a change: a command or a signal, both configured.

use std::fmt;

/// A program by its full path, and its arguments. No shell reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    program: String,
    arguments: Vec<String>,
}

/// Words are no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookCommandError {
    /// One that a system can't pass on.
    #[error("not the words of a command: remove the NUL character")]
    Nul,
    /// A relative path would depend on the working directory and on `PATH`.
    #[error("not an absolute path: write the program's full path, such as \"/usr/bin/systemctl\"")]
    Relative,
}

/// A signal that can tell a process of a change, or end it so that it is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookSignal {
    /// `SIGHUP`
    Hup,
    /// `SIGINT`
    Int,
    /// `SIGQUIT`
    Quit,
    /// `SIGTERM`
    Term,
    /// `SIGUSR1`
    Usr1,
    /// `SIGUSR2`
    Usr2,
    /// `SIGWINCH`
    Winch,
}

impl HookCommand {
    /// From its words, the program first.
    ///
    /// # Errors
    /// If the first is no full path, or if a system could not pass them on.
    pub fn new(words: Vec<String>) -> Result<Self, HookCommandError> {
        if words.iter().any(|word| word.contains('\0')) {
            return Err(HookCommandError::Nul);
        }
        let mut words = words.into_iter();
        let program = words.next().filter(|program| program.starts_with('/')).ok_or(HookCommandError::Relative)?;
        Ok(Self { program, arguments: words.collect() })
    }

    /// The program's full path.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What it is called with.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

impl HookSignal {
    pub const ALL: [Self; 7] = [Self::Hup, Self::Int, Self::Quit, Self::Term, Self::Usr1, Self::Usr2, Self::Winch];

    /// As the configuration has it: `HUP`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Term => "TERM",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Winch => "WINCH",
        }
    }
}

impl fmt::Display for HookSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Result<HookCommand, HookCommandError> {
        HookCommand::new(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn hook_command_is_an_absolute_path_with_any_arguments() {
        let command = command(&["/usr/bin/systemctl", "reload", "./app", ""]).unwrap();
        assert_eq!(
            (command.program(), command.arguments()),
            ("/usr/bin/systemctl", &["reload", "./app", ""].map(str::to_owned)[..])
        );
    }

    #[test]
    fn hook_command_with_a_relative_path_is_rejected() {
        for program in ["", "systemctl", "./reload", "../bin/reload", "bin/reload", "~/reload", " /bin/true"] {
            assert_eq!(command(&[program, "/bin/true"]), Err(HookCommandError::Relative), "{program:?}");
        }
        assert_eq!(command(&[]), Err(HookCommandError::Relative));
        assert_eq!(command(&["/bin/a\0"]), Err(HookCommandError::Nul));
        assert_eq!(command(&["/bin/a", "b\0"]), Err(HookCommandError::Nul));
    }
}
