//! Payloads of any service as files: unchanged, in a template, or as the lines of an environment file.
//!
//! `plan` reads the settings and decides which files are written, `template` and `environment_file` make their contents,
//! `payloads` reads payloads. They do no I/O and are tested natively. Nothing of a payload enters an error: it names the
//! setting and the field, never the value.

mod environment_file;
mod payloads;
mod plan;
mod reference;
mod template;

use bindings::delegation::tokens::logging::{self, Level};
use bindings::exports::delegation::tokens::receiver::{Delivery, Guest};
use deputy_kit::outputs;
use deputy_kit::types::{Failure, Settings};
use payloads::Payloads;
use plan::OutputPlan;

mod bindings {
    #![allow(unsafe_code, unused_qualifications, reason = "generated from the contract, documented there")]
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

    export!(FilesReceiver with_types_in self);
    use super::FilesReceiver;
}

struct FilesReceiver;

impl Guest for FilesReceiver {
    fn services() -> Vec<String> {
        vec!["*".to_owned()]
    }

    fn accept(settings: Settings, deliveries: Vec<Delivery>) -> Result<(), Failure> {
        let plan = OutputPlan::read(&settings)?;
        let deliveries = deliveries.into_iter();
        let payloads = Payloads::new(deliveries.map(|delivery| (delivery.instance, delivery.tokens.payload)));
        for warning in plan.left_out(&payloads) {
            logging::log(Level::Warn, &warning);
        }
        outputs::put(&plan.files(&payloads)?)
    }
}
