//! Where the coordinator of a configuration is found, whatever else is wrong in the file.

use std::path::{Path, PathBuf};

use crate::config::read;
use crate::diagnostic::{ConfigErrors, Sink};
use crate::syntax;
use crate::value::Fields;

/// What a command has to know that speaks to a coordinator. Nobody keeps an operator from asking what runs because the
/// file is wrong that is to run next.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Where the program keeps its state.
    pub state_dir: Option<PathBuf>,
    /// The Unix socket on which commands come in.
    pub control: Option<PathBuf>,
}

impl Places {
    /// Reads a file. What is wrong in it says nothing.
    ///
    /// # Errors
    /// If it can't be read at all.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let unreadable = |source| ConfigErrors::Unreadable { path: path.to_owned(), source };
        let text = read(path).map_err(unreadable)?;
        let absolute = std::path::absolute(path).map_err(unreadable)?;
        Ok(Self::parse_in(&text, absolute.parent().unwrap_or(Path::new(""))))
    }

    fn parse_in(text: &str, base: &Path) -> Self {
        let mut sink = Sink::default();
        let table = syntax::recovered(text);
        let mut fields = Fields::new(table.get_ref(), 0..0);
        let state_dir = fields.optional("state").and_then(|value| value.path(&mut sink, base));
        let coordinator = fields.optional("coordinator").and_then(|value| value.table(&mut sink, ""));
        let control = coordinator.and_then(|mut fields| fields.optional("control")?.path(&mut sink, base));
        Self { state_dir, control }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_whatever_is_wrong_beside_them() {
        let found = Places { state_dir: Some("/base/state".into()), control: Some("/run/deputy.sock".into()) };
        for wrong in ["", "nonsense = 1", "[instances.a]\ncomponent = 1", "this is no TOML", "[instances.a]\nb = \"c"] {
            let text = format!("state = \"state\"\n[coordinator]\ncontrol = \"/run/deputy.sock\"\n{wrong}\n");
            assert_eq!(Places::parse_in(&text, Path::new("/base")), found, "{wrong}");
        }
        assert_eq!(Places::parse_in("state = 1\ncoordinator = 2", Path::new("/base")), Places::default());
    }
}
