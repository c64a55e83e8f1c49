//! Payloads of any service, as files: as they are, put into a template, or as the lines of an environment file.
//!
//! `plan` reads the settings and says which files there will be, `template` and `env` make their contents, `value` reads
//! payloads. They do no I/O and are tested natively. Nothing is remembered, and nothing of a payload enters an error: a
//! text says which setting and which field, never what that holds.

mod env;
mod plan;
mod template;
mod value;

use bindings::delegation::tokens::logging::{self, Level};
use bindings::exports::delegation::tokens::receiver::{Delivery, Guest};
use deputy_kit::outputs;
use deputy_kit::types::{Failure, Settings};
use plan::Plan;
use value::Payloads;

mod bindings {
    #![allow(
        unsafe_code,
        unused_qualifications,
        reason = "generated from the contract, documented there"
    )]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package deputy:files;
            world files {
                include delegation:tokens/uses-logging@0.1.0;
                export delegation:tokens/receiver@0.1.0;
            }
        ",
        world: "deputy:files/files",
        with: { "delegation:tokens/types@0.1.0": deputy_kit::types },
        generate_all,
    });

    export!(Files with_types_in self);
    use super::Files;
}

struct Files;

impl Guest for Files {
    fn services() -> Vec<String> {
        vec!["*".to_owned()]
    }

    fn accept(settings: Settings, deliveries: Vec<Delivery>) -> Result<(), Failure> {
        let plan = Plan::read(&settings)?;
        let payload = |delivery: Delivery| (delivery.instance, delivery.tokens.payload);
        let payloads = Payloads::new(deliveries.into_iter().map(payload));
        plan.missing(&payloads).iter().for_each(|text| logging::log(Level::Warn, text));
        outputs::put(&plan.files(&payloads)?)
    }
}
