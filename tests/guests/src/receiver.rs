//! What hostile receivers share: `accept` attacks, and leaves a file `report` with one line per attempt.
//!
//! ```ignore
//! hostile_guests::receiver!(|settings, deliveries| report([put("../x", "y")]));
//! ```

use bindings::exports::delegation::tokens::receiver;

pub use bindings::delegation::tokens::outputs;
pub use receiver::{Accepted, Bound, Delivery, Rejection};

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
            package hostile:receivers;
            world receiver {
                include delegation:tokens/token-receiver@0.2.0;
            }
        ",
        world: "hostile:receivers/receiver",
        with: { "delegation:tokens/types@0.2.0": crate::types },
        pub_export_macro: true,
        default_bindings_module: "hostile_guests::receiver::bindings",
        generate_all,
    });
}

/// What a guest's `accept` returns.
pub type Applied = Result<Accepted, Failure>;

/// Puts a file, and says in one line how that ended.
pub fn put(path: &str, contents: impl AsRef<[u8]>) -> String {
    match outputs::put(path, contents.as_ref()) {
        Ok(()) => "ok".to_owned(),
        Err(outputs::OutputError::Denied(why)) => format!("denied {why}"),
        Err(outputs::OutputError::InvalidPath(why)) => format!("invalid-path {why}"),
        Err(outputs::OutputError::TooLarge(why)) => format!("too-large {why}"),
    }
}

/// Leaves the file `report`.
pub fn report(lines: impl IntoIterator<Item = String>) -> Applied {
    let text = lines.into_iter().collect::<Vec<_>>().join("\n");
    outputs::put("report", text.as_bytes()).expect("room for a report");
    accepted()
}

/// Rejects nothing and says nothing.
pub fn accepted() -> Applied {
    Ok(Accepted { rejected: Vec::new(), facts: Vec::new() })
}

/// The payload of the first delivery, as text.
pub fn payload(deliveries: &[Delivery]) -> String {
    let first = deliveries.first().expect("a delivery");
    String::from_utf8(first.payload.clone()).expect("text")
}

/// Makes a receiver of a function from settings and deliveries. Its kinds are the setting `kinds`, where a test has it.
#[macro_export]
macro_rules! receiver {
    ($accept:expr) => {
        struct Guest;

        impl $crate::receiver::bindings::exports::delegation::tokens::receiver::Guest for Guest {
            fn kinds(settings: Vec<$crate::types::Setting>) -> Result<Vec<String>, $crate::Failure> {
                Ok($crate::Settings::new(settings).words("kinds", $crate::KIND))
            }

            fn check(
                _: Vec<$crate::types::Setting>,
                _: Vec<$crate::receiver::Bound>,
            ) -> Result<(), $crate::Failure> {
                Ok(())
            }

            fn accept(
                settings: Vec<$crate::types::Setting>,
                deliveries: Vec<$crate::receiver::Delivery>,
            ) -> $crate::receiver::Applied {
                type Accept = fn(&$crate::Settings, &[$crate::receiver::Delivery]) -> $crate::receiver::Applied;
                let accept: Accept = $accept;
                accept(&$crate::Settings::new(settings), &deliveries)
            }
        }

        $crate::receiver::bindings::export!(Guest with_types_in $crate::receiver::bindings);
    };
}
