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

pub mod described;
pub mod http;
pub mod kerberos;
pub mod receiver;
pub mod scram;
pub mod script;
pub mod secrets;
pub mod sockets;

use std::fmt::Debug;

use bindings::exports::delegation::tokens::provider;

pub use bindings::delegation::tokens::{logging, secret_values, state, types};
pub use provider::{Failure, Tokens};
pub use types::{Expiry, Fact, Next};
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
                include delegation:tokens/token-provider@0.2.0;
                include delegation:tokens/uses-secrets@0.2.0;
                include delegation:tokens/reveals-secrets@0.2.0;
                include delegation:tokens/uses-logging@0.2.0;
                include delegation:tokens/keeps-state@0.2.0;
                include delegation:tokens/uses-kerberos@0.2.0;
                include delegation:tokens/uses-scram@0.2.0;
            }
        ",
        world: "hostile:guests/guest",
        pub_export_macro: true,
        default_bindings_module: "hostile_guests::bindings",
        generate_all,
    });
}

/// The kind of what a guest brings, unless it says otherwise.
pub const KIND: &str = "hostile/1";

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

    /// A setting's words; where there is no such setting, this one.
    pub fn words(&self, name: &str, default: &str) -> Vec<String> {
        let found = self.0.iter().find(|setting| setting.name == name);
        let text = found.map_or(default, |setting| setting.value.as_str());
        text.split_whitespace().map(str::to_owned).collect()
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
    Ok(tokens(payload))
}

/// Tokens with a payload alone: expiry unknown, no handle, no facts.
pub fn tokens(payload: impl Into<Vec<u8>>) -> Tokens {
    Tokens {
        kind: KIND.to_owned(),
        payload: payload.into(),
        expiry: Expiry::Unknown,
        next_at: None,
        renewable_until: None,
        handle: Vec::new(),
        facts: Vec::new(),
    }
}

/// A failure with a next step and a message alone.
pub fn failure(next: Next, message: impl Into<String>) -> Failure {
    Failure { next, message: message.into(), code: None, setting: None, retry_after_ms: None, facts: Vec::new() }
}

/// A fact.
pub fn fact(name: impl Into<String>, value: impl Into<String>) -> Fact {
    Fact { name: name.into(), value: value.into() }
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

/// Makes a provider of a function from settings to tokens. Its service and its kinds are the settings `service` and `kinds`,
/// where a test has them.
#[macro_export]
macro_rules! guest {
    ($obtain:expr) => {
        struct Guest;

        impl $crate::bindings::exports::delegation::tokens::provider::Guest for Guest {
            fn service_name(settings: Vec<$crate::types::Setting>) -> Result<String, $crate::Failure> {
                Ok($crate::Settings::new(settings).words("service", "hostile").concat())
            }

            fn kinds(settings: Vec<$crate::types::Setting>) -> Result<Vec<String>, $crate::Failure> {
                Ok($crate::Settings::new(settings).words("kinds", $crate::KIND))
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
