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
    // Unlike objdump, it reads the programs of other machines as well.
    let symbols = Run::new("readelf").args(["--dyn-syms", "--wide"]).arg(program).quiet().map_err(|failure| {
        failure.hint("readelf belongs to the GNU linker: `apt-get install binutils` or your system's like")
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
     2: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND read@GLIBC_2.2.5 (3)
     3: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND statx@GLIBC_2.28 (4)
     4: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND pipe2@GLIBC_2.9 (5)
     5: 0000000000000000     0 FUNC    WEAK   DEFAULT  UND other@GLIBC_PRIVATE (6)
";
        assert!(newest_of(symbols).is_some_and(|version| version.to_string() == "2.28"));
        assert!(newest_of("nothing").is_none());
    }
}
