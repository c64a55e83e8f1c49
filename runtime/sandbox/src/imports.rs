//! Which of a component's imports the host does not provide.

use wasmtime::Engine;
use wasmtime::component::types::{Component, ComponentInstance, ComponentItem};
use wasmtime::component::{Linker, LinkerInstance};

use crate::contract::{self, is_same_track, split_version};

/// The version of WASI that wasmtime has.
const WASI: &str = "0.2.12";

/// The imports that nothing provides, with their versions: whole interfaces, or single functions as
/// `wasi:http/types@0.2.12#a-later-function`.
pub(crate) fn missing<T: 'static>(engine: &Engine, linker: &Linker<T>, component: &Component) -> Vec<String> {
    let mut linker = linker.clone();
    let mut missing = Vec::new();
    for (name, item) in component.imports(engine) {
        match &item.ty {
            ComponentItem::ComponentInstance(instance) => {
                missing.extend(missing_of(engine, &mut linker, name, instance));
            }
            ComponentItem::Type(_) => {}
            _ => missing.push(name.to_owned()),
        }
    }
    missing
}

fn missing_of<T: 'static>(
    engine: &Engine,
    linker: &mut Linker<T>,
    name: &str,
    instance: &ComponentInstance,
) -> Vec<String> {
    let items = |is_kind: fn(&ComponentItem) -> bool| {
        instance.exports(engine).filter(move |(_, item)| is_kind(&item.ty)).map(|(name, _)| name.to_owned())
    };
    let functions: Vec<String> = items(|item| matches!(item, ComponentItem::ComponentFunc(_))).collect();
    let resources: Vec<String> = items(|item| matches!(item, ComponentItem::Resource(_))).collect();
    let (interface, version) = split_version(name).unwrap_or((name, ""));
    let host = host_version(interface);
    // An interface is imported for its resources alone where a component only drops them.
    let used = if functions.is_empty() { &resources } else { &functions };
    if used.is_empty() {
        return Vec::new();
    }
    let mut defines = |item: &String| host.is_some_and(|host| is_defined(linker, &format!("{interface}@{host}"), item));
    let (defined, absent): (Vec<&String>, Vec<&String>) = used.iter().partition(|item| defines(item));
    match host {
        Some(host) if is_same_track(version, host) && !defined.is_empty() => absent
            .into_iter()
            .map(|function| format!("{name}#{function} (this version of deputy has {interface}@{host})"))
            .collect(),
        Some(host) if !defined.is_empty() => vec![format!("{name} (this version of deputy has {interface}@{host})")],
        _ => vec![name.to_owned()],
    }
}

/// The version in which the host has the interface, if it has it.
fn host_version(interface: &str) -> Option<&'static str> {
    if contract::contract_name(interface).is_some() {
        Some(contract::VERSION)
    } else {
        interface.starts_with("wasi:").then_some(WASI)
    }
}

/// A linker does not list what it has, but refuses to define it twice.
fn is_defined<T: 'static>(linker: &mut Linker<T>, interface: &str, item: &str) -> bool {
    let defined = linker.instance(interface).and_then(|mut instance: LinkerInstance<'_, T>| {
        instance.func_new(item, |_, _, _, _| wasmtime::bail!("it is only looked up"))
    });
    defined.is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call_context::{self, CallState};
    use crate::engine;

    #[test]
    fn imports_of_the_host_have_the_versions_of_the_linker() {
        let engine = engine::checking_engine().unwrap();
        let mut linker = Linker::<CallState>::new(&engine);
        call_context::link(&mut linker).unwrap();
        for (interface, item) in [
            ("wasi:cli/environment", "get-environment"),
            ("wasi:http/outgoing-handler", "handle"),
            ("wasi:io/error", "error"),
            ("wasi:sockets/tcp-create-socket", "create-tcp-socket"),
            ("delegation:tokens/logging", "log"),
            ("delegation:tokens/secrets", "[method]secret.jwt"),
        ] {
            let name = format!("{interface}@{}", host_version(interface).unwrap());
            assert!(is_defined(&mut linker, &name, item), "{name}");
            assert!(!is_defined(&mut linker, &name, "no-such-function"), "{name}");
        }
        assert_eq!(host_version("other:host/backdoor"), None);
    }
}
