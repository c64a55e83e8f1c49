//! Which glibc a program needs.

use std::path::Path;

use crate::failure::{Doing, Failure, Result};
use crate::process::Run;

/// A version of glibc.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The newest version of a symbol that a program takes from glibc.
pub(super) fn newest(program: &Path) -> Result<Version> {
    let symbols = Run::new("objdump").arg("-T").arg(program).quiet().map_err(|failure| {
        failure.hint("objdump belongs to the GNU linker: `apt-get install binutils` or your system's like")
    })?;
    newest_of(&symbols).ok_or_else(|| Failure::new(format!("{} takes nothing from glibc", program.display())))
}

fn newest_of(symbols: &str) -> Option<Version> {
    let marked = symbols.split("GLIBC_").skip(1);
    marked.filter_map(|rest| version(rest.split([')', ' ', '\n']).next()?).ok()).max()
}

/// `2.28`; a third number is of a time when no symbol was new.
pub(super) fn version(text: &str) -> Result<Version> {
    let mut numbers = text.split('.').map(str::parse::<u32>);
    let mut next = || {
        let number = numbers.next().ok_or_else(|| Failure::new(format!("{text} is no version of glibc")))?;
        number.doing(|| format!("reading the version {text} of glibc"))
    };
    Ok(Version(next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glibc_version_is_that_of_the_newest_symbol() {
        let symbols = "
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.2.5) read
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.28) statx
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.9) pipe2
0000000000000000  w   DF *UND*  0000000000000000  GLIBC_PRIVATE other
";
        assert!(newest_of(symbols).is_some_and(|version| version.to_string() == "2.28"));
        assert!(newest_of("nothing").is_none());
    }
}
