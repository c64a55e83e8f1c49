//! Which component an operator means: a file, or the name of one that is installed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::excerpt;
use crate::name::{ComponentName, NameError};

/// Which component is meant. A path is a path, wherever components are installed; only what cannot be one is a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentRef {
    /// A file: absolute, or relative to the process.
    File(PathBuf),
    /// An installed component: `NAME.wasm` in a folder of components.
    Installed {
        name: ComponentName,
        /// The folder of the configuration, in which it is looked for first.
        folder: Option<PathBuf>,
    },
}

/// A text is neither a path nor the name of a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a component: write the name of an installed one, or a path that contains / or ends in .wasm")]
pub struct ComponentRefError(String);

impl ComponentRef {
    /// The same with relative paths resolved against a directory, and names looked for in a folder first.
    #[must_use]
    pub fn of_configuration(self, base: &Path, folder: Option<&Path>) -> Self {
        match self {
            Self::File(path) => Self::File(base.join(path)),
            Self::Installed { name, .. } => Self::Installed { name, folder: folder.map(Path::to_owned) },
        }
    }
}

impl FromStr for ComponentRef {
    type Err = ComponentRefError;

    fn from_str(text: &str) -> Result<Self, ComponentRefError> {
        if !text.contains('\0') && (text.contains('/') || text.ends_with(".wasm")) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        match text.parse() {
            Ok(name) => Ok(Self::Installed { name, folder: None }),
            Err(NameError { .. }) => Err(ComponentRefError(excerpt(text, 80))),
        }
    }
}

impl From<PathBuf> for ComponentRef {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl fmt::Display for ComponentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Installed { name, .. } => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_with_a_slash_or_the_extension_is_a_path() {
        for text in ["a.wasm", "./s3-sts", "/opt/s3-sts", "x/y", "My Component.wasm"] {
            assert_eq!(text.parse(), Ok(ComponentRef::File(text.into())));
        }
    }

    #[test]
    fn component_without_either_is_a_name() {
        let name = "s3-sts".parse().unwrap();
        assert_eq!("s3-sts".parse(), Ok(ComponentRef::Installed { name, folder: None }));
        for text in ["", "S3", "s3_sts", "s3-sts.wat", "..", "a\0.wasm", "-a"] {
            assert!(text.parse::<ComponentRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn component_of_a_configuration_is_relative_to_it() {
        let of = |text: &str| {
            let component: ComponentRef = text.parse().unwrap();
            component.of_configuration(Path::new("/etc/deputy"), Some(Path::new("/opt")))
        };
        assert_eq!(of("a.wasm"), ComponentRef::File("/etc/deputy/a.wasm".into()));
        assert_eq!(of("/b.wasm"), ComponentRef::File("/b.wasm".into()));
        let expected = ComponentRef::Installed { name: "a".parse().unwrap(), folder: Some("/opt".into()) };
        assert_eq!(of("a"), expected);
    }
}
