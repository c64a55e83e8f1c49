//! Files that are not connectors, named for what they are.

use std::fmt;

use wasmtime::Engine;
use wasmtime::component::types::{Component, ComponentItem};

/// What a file is that is not a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotConnector {
    Async,
    CoreModule,
    Empty,
    HttpProxy,
    Text,
    WasiCommand,
    Wat,
    WitPackage,
}

/// A binary file begins with these bytes, and then has its version and layer.
const MAGIC: &[u8] = b"\0asm";
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// Enough of a file to see whether it is a text.
const TEXT_HEAD: usize = 4096;

impl NotConnector {
    /// Looks at a file that is not compiled yet. `None` if the compiler has to judge it.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            Some(Self::Empty)
        } else if bytes.starts_with(CORE_MODULE) {
            Some(Self::CoreModule)
        } else if bytes.starts_with(MAGIC) {
            None
        } else {
            let text = text_head(bytes)?;
            let is_wat = text.contains("(module") || text.contains("(component");
            Some(if is_wat { Self::Wat } else { Self::Text })
        }
    }

    /// Looks at a component that exports neither a provider nor a receiver.
    pub(crate) fn of_component(engine: &Engine, component: &Component) -> Option<Self> {
        let mut only_types = component.imports(engine).len() == 0 && component.exports(engine).len() > 0;
        for (name, item) in component.exports(engine) {
            let interface = name.split_once('@').map_or(name, |(interface, _)| interface);
            match interface {
                "wasi:cli/run" => return Some(Self::WasiCommand),
                "wasi:http/incoming-handler" | "wasi:http/handler" => return Some(Self::HttpProxy),
                _ => only_types &= matches!(item.ty, ComponentItem::Component(_) | ComponentItem::Type(_)),
            }
        }
        only_types.then_some(Self::WitPackage)
    }

    /// Reads the compiler's error.
    pub(crate) fn of_compile_error(error: &str) -> Option<Self> {
        // The features that this engine is built without, in the words of its parser.
        const PARTS: [&str; 2] = ["component model async", "component-model async"];
        PARTS.iter().any(|part| error.contains(part)).then_some(Self::Async)
    }
}

/// The beginning of a file, if all of it is text.
fn text_head(bytes: &[u8]) -> Option<&str> {
    let head = bytes.get(..TEXT_HEAD).unwrap_or(bytes);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut within a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?,
        Err(_) => return None,
    };
    text.chars().all(|c| !c.is_control() || c.is_whitespace()).then_some(text)
}

impl fmt::Display for NotConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async => "an async component: synchronous WASI 0.2 is needed, without async functions",
            Self::CoreModule => "a core module, not a component: make it a component with `wasm-tools component new`",
            Self::Empty => "an empty file, not a component",
            Self::HttpProxy => {
                "an HTTP proxy (it exports wasi:http/incoming-handler), not a connector: export \
                 delegation:tokens/provider or delegation:tokens/receiver"
            }
            Self::Text => "text, not a component in its binary form",
            Self::WasiCommand => {
                "a WASI command (it exports wasi:cli/run), not a connector: export delegation:tokens/provider or \
                 delegation:tokens/receiver"
            }
            Self::Wat => "WebAssembly text, not a component in its binary form: convert it with `wasm-tools parse`",
            Self::WitPackage => "a WIT package, which has types and no code: build a component that implements it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_is_no_connector_is_named_by_its_first_bytes() {
        for (bytes, expected) in [
            (&b""[..], Some(NotConnector::Empty)),
            (b"\0asm\x01\0\0\0", Some(NotConnector::CoreModule)),
            (b"\0asm\x0d\0\x01\0", None),
            (b"\0asm", None),
            (b"\0as", None),
            (&[0xff; 10_000], None),
            (b"\x7fELF\x02\x01\x01", None),
            (b"#!/bin/sh\nexit 0\n", Some(NotConnector::Text)),
            ("schön".as_bytes(), Some(NotConnector::Text)),
            (b";; a comment\n(component)\n", Some(NotConnector::Wat)),
            (b"(module (memory 1))", Some(NotConnector::Wat)),
        ] {
            assert_eq!(NotConnector::of_bytes(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
        let long = "ü".repeat(TEXT_HEAD);
        assert_eq!(NotConnector::of_bytes(format!("x{long}").as_bytes()), Some(NotConnector::Text));
    }
}
