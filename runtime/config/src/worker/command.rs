//! The command of `on-change`.

use crate::diagnostic::Sink;
use crate::value::{Value, invalid};

/// A program by its full path, and its arguments. No shell reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand(Vec<String>);

/// Words are no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookCommandError {
    /// One that a system can't pass on.
    #[error("not words of a command: they hold no NUL")]
    Nul,
    /// Which program it is depends on who starts it, and from where.
    #[error("not the full path of a program: write it from the root on, such as \"/usr/bin/systemctl\"")]
    Relative,
}

const LIKE: &str = "[\"/usr/bin/systemctl\", \"reload\", \"app\"]";

impl HookCommand {
    /// From its words, the program first.
    ///
    /// # Errors
    /// If the first is no full path, or if a system could not pass them on.
    pub fn new(words: Vec<String>) -> Result<Self, HookCommandError> {
        if !words.first().is_some_and(|program| program.starts_with('/')) {
            return Err(HookCommandError::Relative);
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(HookCommandError::Nul);
        }
        Ok(Self(words))
    }

    /// Its words, the program first.
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

/// `["/usr/bin/systemctl", "reload", "app"]`
pub(super) fn read(sink: &mut Sink, value: Value<'_>) -> Option<HookCommand> {
    let elements = value.list(sink, LIKE)?;
    let words: Option<Vec<String>> =
        elements.iter().map(|element| Some(element.text(sink, "\"…\"")?.to_owned())).collect();
    match HookCommand::new(words?) {
        Ok(command) => Some(command),
        Err(error) => {
            let program = elements.first().filter(|_| error == HookCommandError::Relative);
            invalid(sink, program.copied().unwrap_or(value).at(), &error);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Result<HookCommand, HookCommandError> {
        HookCommand::new(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn a_command_begins_at_the_root_whatever_its_arguments_are() {
        let words = ["/usr/bin/systemctl", "reload", "./app", ""];
        assert_eq!(command(&words).unwrap().words(), words);
    }

    #[test]
    fn a_program_that_is_another_one_elsewhere_is_refused() {
        for program in ["", "systemctl", "./reload", "../bin/reload", "bin/reload", "~/reload", " /bin/true"] {
            assert_eq!(command(&[program, "/bin/true"]), Err(HookCommandError::Relative), "{program:?}");
        }
        assert_eq!(command(&[]), Err(HookCommandError::Relative));
        assert_eq!(command(&["/bin/a\0"]), Err(HookCommandError::Nul));
        assert_eq!(command(&["/bin/a", "b\0"]), Err(HookCommandError::Nul));
    }
}
