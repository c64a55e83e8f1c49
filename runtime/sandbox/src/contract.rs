//! The contract's exports, with which those of a component are compared when it is loaded.

use wasmtime::Engine;
use wasmtime::component::types::{Component, ComponentFunc, ComponentInstance, ComponentItem};
use wasmtime::component::{ComponentNamedList, Lift, Lower};

use crate::bindings::delegation::tokens::types as wit;
use crate::bindings::describes::exports::delegation::tokens::description::{DescribedSetting, Property, Want};
use crate::bindings::receives::exports::delegation::tokens::receiver::{Accepted, Bound, Delivery};

pub(crate) const PACKAGE: &str = "delegation:tokens";
/// The contract's version. A component of the same track has the same types, and runs here.
pub(crate) const VERSION: &str = "0.2.0";

type Outcome<T> = (Result<T, wit::Failure>,);

/// An interface that a component can export.
struct Interface {
    name: &'static str,
    functions: &'static [(&'static str, TypeCheck)],
}

type TypeCheck = fn(&ComponentFunc, &Component) -> wasmtime::Result<()>;

const INTERFACES: [Interface; 5] = [
    Interface {
        name: "provider",
        functions: &[
            ("service-name", typecheck::<(&wit::Settings,), Outcome<String>>),
            ("kinds", typecheck::<(&wit::Settings,), Outcome<Vec<String>>>),
            ("tokens-required", typecheck::<(&wit::Settings,), Outcome<bool>>),
            ("obtain", typecheck::<(&wit::Settings,), Outcome<wit::Tokens>>),
        ],
    },
    Interface {
        name: "receiver",
        functions: &[
            ("kinds", typecheck::<(&wit::Settings,), Outcome<Vec<String>>>),
            ("check", typecheck::<(&wit::Settings, &Vec<Bound>), Outcome<()>>),
            ("accept", typecheck::<(&wit::Settings, &Vec<Delivery>), Outcome<Accepted>>),
        ],
    },
    Interface {
        name: "description",
        functions: &[
            ("about", typecheck::<(), (Vec<Property>,)>),
            ("known-settings", typecheck::<(), (Vec<DescribedSetting>,)>),
            ("wants", typecheck::<(&wit::Settings,), Outcome<Vec<Want>>>),
        ],
    },
    Interface {
        name: "renewal",
        functions: &[("renew", typecheck::<(&wit::Settings, &wit::Tokens), Outcome<wit::Tokens>>)],
    },
    Interface {
        name: "revocation",
        functions: &[("revoke", typecheck::<(&wit::Settings, &wit::Tokens), Outcome<()>>)],
    },
];

/// What a component exports of the contract, and what beside it.
#[derive(Debug, Default)]
pub(crate) struct ContractExports {
    interfaces: Vec<&'static str>,
    /// Of the last of them; all have the same in what the toolchains build.
    pub(crate) version: String,
    pub(crate) others: Vec<String>,
}

/// An export of a component that is not what the contract says.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error(
        "it exports {interface}@{found} ({functions}), but this version of deputy calls {interface}@{VERSION}: \
         build it with {PACKAGE}@{VERSION}"
    )]
    Track { interface: String, found: String, functions: String },
    #[error("it exports {interface}@{found} without the function `{function}` of {interface}@{VERSION}")]
    Missing { interface: String, found: String, function: &'static str },
    #[error("`{function}` of {interface}@{found} has another type than in this deputy's contract, {PACKAGE}@{VERSION}")]
    Type { interface: String, found: String, function: &'static str, source: wasmtime::Error },
}

impl ContractExports {
    /// Compares every function that the component exports of the contract.
    pub(crate) fn compare(engine: &Engine, component: &Component) -> Result<Self, ContractError> {
        let mut exports = Self::default();
        for (name, item) in component.exports(engine) {
            let contract =
                split_version(name).and_then(|(interface, version)| Some((contract_name(interface)?, version)));
            match (contract, &item.ty) {
                (Some((interface, version)), ComponentItem::ComponentInstance(instance)) => {
                    exports.compare_interface(engine, component, interface, version, instance)?;
                }
                (_, ComponentItem::Type(_) | ComponentItem::Resource(_)) => {}
                _ => exports.others.push(name.to_owned()),
            }
        }
        Ok(exports)
    }

    /// Whether this interface of the contract is exported.
    pub(crate) fn has(&self, interface: &str) -> bool {
        self.interfaces.contains(&interface)
    }

    fn compare_interface(
        &mut self,
        engine: &Engine,
        component: &Component,
        interface: &str,
        version: &str,
        instance: &ComponentInstance,
    ) -> Result<(), ContractError> {
        let full = || (format!("{PACKAGE}/{interface}"), version.to_owned());
        let functions: Vec<_> = functions(engine, instance).collect();
        if !is_same_track(version, VERSION) {
            let (interface, found) = full();
            return Err(ContractError::Track { interface, found, functions: functions.join(", ") });
        }
        let Some(known) = INTERFACES.iter().find(|known| known.name == interface) else {
            // A later patch version may have more interfaces.
            self.others.push(format!("{PACKAGE}/{interface}@{version}"));
            return Ok(());
        };
        for &(function, typecheck) in known.functions {
            let (interface, found) = full();
            let Some(ComponentItem::ComponentFunc(own)) = instance.get_export(engine, function).map(|item| item.ty)
            else {
                return Err(ContractError::Missing { interface, found, function });
            };
            typecheck(&own, component).map_err(|source| ContractError::Type { interface, found, function, source })?;
        }
        let more = functions.iter().filter(|own| !known.functions.iter().any(|(name, _)| name == *own));
        self.others.extend(more.map(|own| format!("{PACKAGE}/{interface}@{version}#{own}")));
        self.interfaces.push(known.name);
        version.clone_into(&mut self.version);
        Ok(())
    }
}

fn functions<'a>(engine: &'a Engine, instance: &'a ComponentInstance) -> impl Iterator<Item = &'a str> {
    let functions = instance.exports(engine).filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)));
    functions.map(|(name, _)| name)
}

/// The types of parameters and results have to be equal; the names of parameters do not matter.
fn typecheck<P: ComponentNamedList + Lower, R: ComponentNamedList + Lift>(
    function: &ComponentFunc,
    component: &Component,
) -> wasmtime::Result<()> {
    if function.async_() {
        wasmtime::bail!("it is async");
    }
    function.typecheck::<P, R>(&component.instance_type())
}

/// `delegation:tokens/renewal` is `renewal`.
pub(crate) fn contract_name(interface: &str) -> Option<&str> {
    interface.strip_prefix(PACKAGE)?.strip_prefix('/')
}

/// `wasi:io/poll@0.2.6` is `wasi:io/poll` and `0.2.6`.
pub(crate) fn split_version(name: &str) -> Option<(&str, &str)> {
    name.split_once('@')
}

/// Whether two versions are compatible by the rules of semantic versioning: 0.1.0 and 0.1.7, 1.0.0 and 1.2.0.
pub(crate) fn is_same_track(left: &str, right: &str) -> bool {
    left == right || track(left).is_some_and(|left| track(right) == Some(left))
}

/// None for a version that is compatible with no other, such as 0.0.1 or 0.1.0-alpha.
fn track(version: &str) -> Option<(u64, u64)> {
    let (version, _build) = version.split_once('+').unwrap_or((version, ""));
    let mut numbers = version.splitn(3, '.').map(|number| number.parse::<u64>().ok());
    match (numbers.next()??, numbers.next()??, numbers.next()??) {
        (0, 0, _) => None,
        (0, minor, _) => Some((0, minor)),
        (major, ..) => Some((major, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_track_follows_semantic_versioning() {
        for (left, right, same) in [
            ("0.1.0", "0.1.0", true),
            ("0.1.0", "0.1.12", true),
            ("0.1.0", "0.1.1+build.7", true),
            ("0.1.0", "0.2.0", false),
            ("0.1.0", "1.1.0", false),
            ("1.0.0", "1.4.2", true),
            ("1.0.0", "2.0.0", false),
            ("0.0.1", "0.0.2", false),
            ("0.1.0", "0.1.1-rc.1", false),
            ("0.1.0", "0.1", false),
            ("0.1.0", "", false),
        ] {
            assert_eq!(is_same_track(left, right), same, "{left} and {right}");
        }
    }

    #[test]
    fn contract_version_is_that_of_the_bindings() {
        assert!(include_str!("bindings.rs").contains(&format!("{PACKAGE}/token-provider@{VERSION};")));
    }
}
