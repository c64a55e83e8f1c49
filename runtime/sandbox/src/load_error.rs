//! Why a component is not loaded.

use std::io;
use std::path::{Path, PathBuf};

use deputy_core::{ComponentName, Digest, Span};
use deputy_files::FileError;

use crate::compile_cache::CacheError;
use crate::component_info::ComponentKind;
use crate::contract::{ContractError, PACKAGE, VERSION};
use crate::http::HttpPolicyError;
use crate::not_connector::NotConnector;
use crate::sockets::TcpPolicyError;

/// Why a component is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its code could not be compiled, or not be loaded from the cache.
    #[error("cannot compile {}", path.display())]
    Cache { path: PathBuf, source: CacheError },
    /// The file is not the one that was read a moment ago.
    #[error("{} changed while it was loaded: try again when the file is complete", path.display())]
    Changed { path: PathBuf },
    /// An export of the contract has another type or version.
    #[error("{} does not implement the contract", path.display())]
    Contract { path: PathBuf, source: ContractError },
    /// The file's digest is not the configured one.
    #[error("{} has the SHA-256 {found}, not {expected}: restore the file; if the change is yours, set `sha256`, or restart where it is not set", path.display())]
    Digest { path: PathBuf, found: Digest, expected: Digest },
    /// A file that an HTTP rule names can't be used.
    #[error("cannot use the HTTP rules of {instance}")]
    Http { instance: String, source: HttpPolicyError },
    /// The file system does not answer.
    #[error("reading the component {} took longer than {limit}: is its file system reachable?", path.display())]
    Hangs { path: PathBuf, limit: Span },
    /// The component imports something as another type than the host's.
    #[error("{} cannot run here: it imports a function or a resource with another type", path.display())]
    Import { path: PathBuf, source: wasmtime::Error },
    /// A directory, a fifo or a device.
    #[error("{} is not a regular file", path.display())]
    Irregular { path: PathBuf },
    /// The component imports what no grant can give.
    #[error("{} cannot run here: nothing provides {}{}", path.display(), imports.join(", "), wasi_fix(imports))]
    MissingImports { path: PathBuf, imports: Vec<String> },
    /// The file is something else that is known.
    #[error("{} is {found}", path.display())]
    NotConnector { path: PathBuf, found: NotConnector },
    /// The file can't be read.
    #[error("cannot read the component {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file is larger than any component should be.
    #[error("{} is larger than 256 MiB, the limit for a component", path.display())]
    Size { path: PathBuf },
    /// A component, but neither a provider nor a receiver.
    #[error("{} exports neither {PACKAGE}/provider@{VERSION} nor {PACKAGE}/receiver@{VERSION}, so it is not a connector", path.display())]
    World { path: PathBuf },
    /// A file that a TCP rule names can't be used.
    #[error("cannot use the TCP rules of {instance}")]
    Tcp { instance: String, source: TcpPolicyError },
    /// No folder has a component of this name.
    #[error("no component `{name}` is installed in {}: {}", all_of(folders), other_names(known))]
    NotInstalled { name: ComponentName, folders: Vec<PathBuf>, known: Vec<ComponentName> },
    /// Another user could have put it there.
    #[error("{} is not used, because another user could have replaced it", path.display())]
    Untrusted { path: PathBuf, source: FileError },
    /// A connector of the other kind.
    #[error("{} is not a {expected}: configure it where the other kind of component belongs", path.display())]
    Kind { path: PathBuf, expected: ComponentKind },
}

/// `a, b or c`
fn all_of(folders: &[PathBuf]) -> String {
    let folders: Vec<String> = folders.iter().map(|folder| Path::display(folder).to_string()).collect();
    match folders.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "any folder".to_owned(),
    }
}

fn other_names(known: &[ComponentName]) -> String {
    if known.is_empty() {
        return "install it there, or write a path with / or .wasm".to_owned();
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("install it there, or write one of {}, or a path with / or .wasm", names.join(", "))
}

/// WASI 0.3 is asynchronous, and is not in this program.
fn wasi_fix(imports: &[String]) -> &'static str {
    let is_later = |import: &String| import.starts_with("wasi:") && import.contains("@0.3");
    if imports.iter().any(is_later) { "; synchronous WASI 0.2 is needed" } else { "" }
}
