//! What a component is, read from its compiled form: what it exports, and what it can ever ask for.

use std::fmt;
use std::path::{Path, PathBuf};

use deputy_core::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::blocking::BlockingThread;
use crate::contract::ContractExports;
use crate::load_error::LoadError;
use crate::not_connector::NotConnector;

/// What a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentInfo {
    pub path: PathBuf,
    /// The SHA-256 of its file.
    pub digest: Digest,
    /// The size of its file in bytes.
    pub size: u64,
    /// What it is for.
    pub kind: ComponentKind,
    /// The contract's version that it was built with.
    pub contract: String,
    /// Whether it can prolong tokens.
    pub renews: bool,
    /// Whether it can revoke tokens.
    pub revokes: bool,
    /// Whether it describes itself.
    pub describes: bool,
    /// Everything that it can ask the host for, by the name of the interface.
    pub imports: Vec<Import>,
    /// What it imports and nothing provides: it cannot run here.
    pub missing_imports: Vec<String>,
    /// What it exports beside the contract's interfaces.
    pub other_exports: Vec<String>,
}

/// What a component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentKind {
    Provider,
    Receiver,
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provider => "provider",
            Self::Receiver => "receiver",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// `wasi:http/outgoing-handler@0.2.12`
    pub interface: String,
    /// The functions that are imported of it, in the contract's spelling; empty if it is imported for its types.
    pub functions: Vec<String>,
}

impl ComponentInfo {
    /// Reads a component's type, and compares it with the contract.
    pub(crate) fn of(
        engine: &Engine,
        component: &Component,
        path: &Path,
        (digest, size): (Digest, u64),
        _: &BlockingThread,
    ) -> Result<Self, LoadError> {
        let own = component.component_type();
        let exports = ContractExports::compare(engine, &own)
            .map_err(|source| LoadError::Contract { path: path.to_owned(), source })?;
        let kind = if exports.has("provider") {
            ComponentKind::Provider
        } else if exports.has("receiver") {
            ComponentKind::Receiver
        } else {
            let path = path.to_owned();
            return Err(match NotConnector::of_component(engine, &own) {
                Some(found) => LoadError::NotConnector { path, found },
                None => LoadError::World { path },
            });
        };
        Ok(Self {
            path: path.to_owned(),
            digest,
            size,
            kind,
            contract: exports.version.clone(),
            renews: exports.has("renewal"),
            revokes: exports.has("revocation"),
            describes: exports.has("description"),
            imports: own.imports(engine).map(|(name, item)| import(engine, name, &item.ty)).collect(),
            missing_imports: Vec::new(),
            other_exports: exports.others,
        })
    }

    /// The import of an interface, whatever its version: `wasi:http/outgoing-handler`.
    pub fn import(&self, interface: &str) -> Option<&Import> {
        self.imports.iter().find(|import| import.name() == interface)
    }

    /// Whether a function of an interface is imported.
    pub fn uses(&self, interface: &str, function: &str) -> bool {
        self.import(interface).is_some_and(|import| import.functions.iter().any(|own| own == function))
    }
}

impl Import {
    /// The interface without its version.
    pub fn name(&self) -> &str {
        self.interface.split_once('@').map_or(&self.interface, |(name, _)| name)
    }
}

fn import(engine: &Engine, name: &str, item: &ComponentItem) -> Import {
    let functions = match item {
        ComponentItem::ComponentInstance(instance) => (instance.exports(engine))
            .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
            .map(|(function, _)| function.to_owned())
            .collect(),
        _ => Vec::new(),
    };
    Import { interface: name.to_owned(), functions }
}
