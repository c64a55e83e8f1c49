//! Payloads of any service as files: unchanged, in a template, or as the lines of an environment file.
//!
//! `plan` reads the settings and decides which files are written, `template` and `environment_file` make their contents,
//! `check` compares the plan with the bound instances and with what `kinds` knows of their payloads. They do no I/O and are
//! tested natively. Nothing of a payload enters an error: it names the setting and the field, never the value.

mod check;
mod environment_file;
mod kinds;
mod payloads;
mod plan;
mod reference;
mod template;

use bindings::delegation::tokens::logging::{self, Level};
use bindings::exports::delegation::tokens::receiver::{Accepted, Bound, Delivery, Guest, Rejection};
use check::BoundKinds;
use deputy_kit::outputs;
use deputy_kit::types::{Failure, Settings};
use payloads::Payloads;
use plan::OutputPlan;

deputy_kit::export_component!(
    FilesReceiver,
    "
        package deputy:connector;
        world component {
            include delegation:tokens/uses-logging@0.2.0;
            include delegation:tokens/describes-itself@0.2.0;
            export delegation:tokens/receiver@0.2.0;
        }
    "
);

struct FilesReceiver;

deputy_kit::describe!(FilesReceiver);

impl Guest for FilesReceiver {
    fn kinds(settings: Settings) -> Result<Vec<String>, Failure> {
        OutputPlan::read(&settings).map(|_| vec!["*".to_owned()])
    }

    fn check(settings: Settings, bound: Vec<Bound>) -> Result<(), Failure> {
        let bound: BoundKinds = bound.into_iter().map(|bound| (bound.instance, bound.kinds)).collect();
        check::check(&OutputPlan::read(&settings)?, &bound)
    }

    fn accept(settings: Settings, deliveries: Vec<Delivery>) -> Result<Accepted, Failure> {
        let plan = OutputPlan::read(&settings)?;
        let payloads = deliveries.into_iter().map(|delivery| (delivery.instance, delivery.payload));
        let payloads = Payloads::new(payloads);
        let rejected: Vec<Rejection> = plan
            .unusable(&payloads)
            .into_iter()
            .map(|(instance, failure)| Rejection { instance: instance.to_owned(), failure })
            .collect();
        // With a rejection nothing is published, and the host calls again without it.
        if rejected.is_empty() {
            for warning in plan.left_out(&payloads) {
                logging::log(Level::Warn, &warning);
            }
            outputs::put(&plan.files(&payloads)?)?;
        }
        Ok(Accepted { rejected, facts: Vec::new() })
    }
}
