//! What Deputy's connectors in Rust share.
//!
//! A component generates its own world with [`export_component!`], or with `wit_bindgen::generate!` as below, and uses the
//! contract's types of this crate, so that the kit's functions return the contract's `Failure` and `?` works on them:
//!
//! ```
//! wit_bindgen::generate!({
//!     path: "../../wit",
//!     world: "delegation:tokens/token-provider",
//!     with: { "delegation:tokens/types@0.2.0": deputy_kit::types },
//! });
//! # fn main() {}
//! ```
//!
//! A component imports only what it calls: the kit uses WASI through generated bindings and never through `std`, so a
//! component imports `wasi:http` only if it makes requests, and `outputs` only if it puts files.
//!
//! The kit never panics, never writes to the log, and keeps no state between calls.

pub mod answer;
pub mod bearer;
pub mod clock;
mod component;
pub mod description;
pub mod encode;
pub mod failure;
pub mod http;
pub mod outputs;
pub mod settings;
pub mod tcp;
pub mod text;
pub mod time;
pub mod tokens;
pub mod url;

mod bindings {
    #![allow(
        missing_docs,
        unsafe_code,
        unused_qualifications,
        reason = "generated from the contract, documented there"
    )]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package deputy:kit;
            world types {
                import delegation:tokens/types@0.2.0;
                import delegation:tokens/outputs@0.2.0;
            }
        ",
        world: "deputy:kit/types",
        generate_all,
    });
}

#[doc(hidden)]
pub use wit_bindgen;

/// The contract's types, generated from `wit/types.wit`.
pub use bindings::delegation::tokens::types;
