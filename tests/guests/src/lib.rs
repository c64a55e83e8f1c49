//! What the hostile guests share.
//!
//! Most guests are providers; [`receiver`] is for the others. A provider's `obtain` attacks and then reports, as the
//! payload's text, what it saw of the host: one line per attempt. The test compares that with what the operator saw.
//! Targets come in through the settings, so that a test chooses hosts and ports.
//!
//! ```ignore
//! hostile_guests::guest!(|settings| report([get(&settings.text("url"))]));
//! ```

#![deny(missing_docs)]

pub mod http;
pub mod receiver;
pub mod script;
pub mod secrets;
pub mod sockets;

use std::fmt::Debug;

use bindings::exports::delegation::tokens::provider;

pub use bindings::delegation::tokens::{logging, secret_values, types};
pub use provider::{Failure, Tokens};
pub use wasip2;

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
            package hostile:guests;
            world guest {
                include delegation:tokens/token-provider@0.1.0;
                include delegation:tokens/uses-secrets@0.1.0;
                include delegation:tokens/reveals-secrets@0.1.0;
                include delegation:tokens/uses-logging@0.1.0;
            }
        ",
        world: "hostile:guests/guest",
        pub_export_macro: true,
        default_bindings_module: "hostile_guests::bindings",
        generate_all,
    });
}

/// What a guest's `obtain` returns.
pub type Obtained = Result<Tokens, Failure>;

/// The settings of a call.
pub struct Settings(Vec<types::Setting>);

impl Settings {
    #[doc(hidden)]
    pub fn new(settings: Vec<types::Setting>) -> Self {
        Self(settings)
    }

    /// A setting's value. It panics where there is none: the test has forgotten it.
    pub fn text(&self, name: &str) -> String {
        self.0.iter().find(|setting| setting.name == name).expect("a setting").value.clone()
    }

    /// A setting's value as a number.
    pub fn number(&self, name: &str) -> u64 {
        self.text(name).parse().expect("a number")
    }

    /// A setting's lines.
    pub fn lines(&self, name: &str) -> Vec<String> {
        self.text(name).lines().map(str::to_owned).collect()
    }
}

/// Brings text back.
pub fn report(lines: impl IntoIterator<Item = String>) -> Obtained {
    bring(lines.into_iter().collect::<Vec<_>>().join("\n").into_bytes())
}

/// Brings bytes back.
pub fn bring(payload: Vec<u8>) -> Obtained {
    Ok(Tokens { payload, valid_until: None })
}

/// How an attempt ended, in one line: `ok …` or `err …`.
pub fn outcome<T: Debug, E: Debug>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("ok {value:?}"),
        Err(error) => format!("err {error:?}"),
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a provider of a function from settings to tokens.
#[macro_export]
macro_rules! guest {
    ($obtain:expr) => {
        struct Guest;

        impl $crate::bindings::exports::delegation::tokens::provider::Guest for Guest {
            fn service_name() -> String {
                "hostile".to_owned()
            }

            fn tokens_required(_: Vec<$crate::types::Setting>) -> Result<bool, $crate::Failure> {
                Ok(true)
            }

            fn obtain(settings: Vec<$crate::types::Setting>) -> $crate::Obtained {
                let obtain: fn(&$crate::Settings) -> $crate::Obtained = $obtain;
                obtain(&$crate::Settings::new(settings))
            }
        }

        $crate::bindings::export!(Guest with_types_in $crate::bindings);
    };
}
