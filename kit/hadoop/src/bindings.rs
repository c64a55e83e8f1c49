//! The bindings to the contract that all providers of Hadoop's tokens have.

/// Generates a module `bindings` for a provider that obtains, renews and revokes tokens with the capability `kerberos`, and
/// exports the given type as this provider. The crate's folder is two levels below that of `wit`.
#[macro_export]
macro_rules! token_provider {
    ($provider:ident) => {
        mod bindings {
            #![allow(
                clippy::all,
                missing_docs,
                unsafe_code,
                unused_qualifications,
                reason = "generated from the contract, documented there"
            )]

            wit_bindgen::generate!({
                path: "../../wit",
                inline: "
                    package deputy:hadoop;
                    world token-provider {
                        include delegation:tokens/token-provider@0.2.0;
                        include delegation:tokens/renews-tokens@0.2.0;
                        include delegation:tokens/revokes-tokens@0.2.0;
                        include delegation:tokens/uses-kerberos@0.2.0;
                    }
                ",
                world: "deputy:hadoop/token-provider",
                with: {
                    "delegation:tokens/types@0.2.0": deputy_kit::types,
                    "delegation:tokens/kerberos@0.2.0": deputy_kit_hadoop::kerberos::interface,
                },
                generate_all,
            });

            export!($provider with_types_in self);
            use super::$provider;
        }
    };
}
