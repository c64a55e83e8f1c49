//! What guests share that lie about themselves: their description attacks, and their `obtain` does nothing.
//!
//! ```ignore
//! hostile_guests::described!(about: || vec![], known_settings: || vec![], wants: |settings| Ok(vec![]));
//! ```

use bindings::exports::delegation::tokens::description;

pub use description::{DescribedSetting, Property, Want};

use crate::Failure;

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
        $crate::guest!(|_| $crate::report(["obtained".to_owned()]));

        struct Described;

        impl $crate::described::bindings::exports::delegation::tokens::description::Guest for Described {
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
                wants(&$crate::Settings::new(settings))
            }
        }

        $crate::described::bindings::export!(Described with_types_in $crate::described::bindings);
    };
}
