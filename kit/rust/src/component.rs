//! The bindings of a component.

/// Generates the bindings of a component for a world, in a module `bindings`, and exports the type.
///
/// The world is written in WIT as `world component` of a package `deputy:connector`. Behind it, interfaces can be mapped to
/// modules, as `with` of `wit_bindgen::generate!` has them; the contract's types are those of this kit. `in "./wit"` names the
/// folder that has the contract, from that of the crate; without it, it lies two above.
///
/// ```text
/// deputy_kit::export_component!(
///     S3Sts,
///     "package deputy:connector; world component { include delegation:tokens/token-provider@0.2.0; }"
/// );
/// ```
#[macro_export]
macro_rules! export_component {
    ($component:ident, $($rest:tt)*) => {
        $crate::export_component!($component in "../../wit", $($rest)*);
    };
    ($component:ident in $wit:literal, $world:tt $(, $($with:tt)*)?) => {
        mod bindings {
            #![allow(
                missing_docs,
                unsafe_code,
                unused_qualifications,
                reason = "generated from the contract, documented there"
            )]
            #![allow(clippy::all, reason = "generated")]

            $crate::wit_bindgen::generate!({
                path: $wit,
                inline: $world,
                world: "deputy:connector/component",
                with: { "delegation:tokens/types@0.2.0": deputy_kit::types, $($($with)*)? },
                generate_all,
                runtime_path: "deputy_kit::wit_bindgen::rt",
            });

            export!($component with_types_in self);
            use super::$component;
        }
    };
}
