//! What kind of connector, in which language.

use deputy_core::ComponentName;

/// What a connector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorKind {
    /// It obtains tokens.
    Provider,
    /// It turns delivered tokens into files.
    Receiver,
}

/// A language with a kit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// C, by zig's compiler.
    C,
    /// Go, by its own compiler.
    Go,
    /// JavaScript, by componentize-js.
    JavaScript,
    /// Python, by componentize-py.
    Python,
    /// Rust, for `wasm32-wasip2`.
    Rust,
}

/// A new connector.
#[derive(Debug, Clone)]
pub struct NewConnector {
    /// Its name, and that of its folder.
    pub name: ComponentName,
    /// What it does.
    pub kind: ConnectorKind,
    /// In which language.
    pub language: Language,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::C, Self::Go, Self::JavaScript, Self::Python, Self::Rust];

    /// The name of its folder in `kit/` and among the examples.
    #[must_use]
    pub fn kit(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Go => "go",
            Self::JavaScript => "js",
            Self::Python => "python",
            Self::Rust => "rust",
        }
    }
}

impl ConnectorKind {
    /// The folder of its example.
    pub(crate) fn example(self, language: Language) -> String {
        format!("{self}s/examples/{}/", language.kit())
    }
}
