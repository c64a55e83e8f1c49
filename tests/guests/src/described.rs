//! What guests share that lie about themselves: their description attacks, and their `obtain` does nothing.
//!
//! ```ignore
//! hostile_guests::described!(about: || vec![], known_settings: || vec![], wants: |settings| Ok(vec![]));
//! ```

use bindings::exports::delegation::tokens::description;

pub use description::{DescribedSetting, Property, Want};

use crate::types::Setting;
use crate::{Failure, Settings};

#[doc(hidden)]
pub mod bindings {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        reason = "generated from the contract, documented there"
    )]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package hostile:described;
            world described {
                include delegation:tokens/token-provider@0.2.0;
                include delegation:tokens/describes-itself@0.2.0;
            }
        ",
        world: "hostile:described/described",
        with: { "delegation:tokens/types@0.2.0": crate::types },
        pub_export_macro: true,
        default_bindings_module: "hostile_guests::described::bindings",
        generate_all,
    });
}

/// What a guest's `wants` returns.
pub type Wanted = Result<Vec<Want>, Failure>;

/// The settings of a call.
pub fn settings(settings: Vec<Setting>) -> Settings {
    Settings::new(settings)
}

/// A property.
pub fn property(name: impl Into<String>, value: impl Into<String>) -> Property {
    Property { name: name.into(), value: value.into() }
}

/// A setting with one line of text.
pub fn described(name: impl Into<String>, text: &str) -> DescribedSetting {
    DescribedSetting { name: name.into(), properties: vec![property("text", text)] }
}

/// A want.
pub fn want(kind: &str, properties: &[(&str, &str)]) -> Want {
    let properties = properties.iter().map(|(name, value)| property(*name, *value)).collect();
    Want { kind: kind.to_owned(), properties }
}

/// Makes a provider of three functions that describe it.
#[macro_export]
macro_rules! described {
    (about: $about:expr, known_settings: $known:expr, wants: $wants:expr) => {
        struct Guest;

        impl $crate::described::bindings::exports::delegation::tokens::description::Guest for Guest {
            fn about() -> Vec<$crate::described::Property> {
                let about: fn() -> Vec<$crate::described::Property> = $about;
                about()
            }

            fn known_settings() -> Vec<$crate::described::DescribedSetting> {
                let known: fn() -> Vec<$crate::described::DescribedSetting> = $known;
                known()
            }

            fn wants(settings: Vec<$crate::types::Setting>) -> $crate::described::Wanted {
                let wants: fn(&$crate::Settings) -> $crate::described::Wanted = $wants;
                wants(&$crate::described::settings(settings))
            }
        }

        impl $crate::described::bindings::exports::delegation::tokens::provider::Guest for Guest {
            fn service_name(_: Vec<$crate::types::Setting>) -> Result<String, $crate::Failure> {
                Ok("hostile".to_owned())
            }

            fn kinds(_: Vec<$crate::types::Setting>) -> Result<Vec<String>, $crate::Failure> {
                Ok(vec![$crate::KIND.to_owned()])
            }

            fn tokens_required(_: Vec<$crate::types::Setting>) -> Result<bool, $crate::Failure> {
                Ok(true)
            }

            fn obtain(_: Vec<$crate::types::Setting>) -> $crate::Obtained {
                $crate::report(["obtained".to_owned()])
            }
        }

        $crate::described::bindings::export!(Guest with_types_in $crate::described::bindings);
    };
}
