//! S3 credentials as AWS's tools and SDKs read them: a shared credentials file with one profile for each instance, a
//! config file where there is something to say in it, and for each instance the JSON of a `credential_process`.
//!
//! `settings` and `credentials` read what comes in, `files` writes; they do no I/O and are tested natively. Nothing is
//! remembered: each call writes all files anew from all deliveries. What could begin another line of a file is refused,
//! and nothing of a payload enters an error.

mod credentials;
mod files;
mod settings;

use bindings::exports::delegation::tokens::receiver::{Delivery, Guest};
use credentials::Credentials;
use deputy_kit::outputs;
use deputy_kit::types::{Failure, Settings};
use settings::Config;

mod bindings {
    #![allow(unsafe_code, unused_qualifications, reason = "generated from the contract, documented there")]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package deputy:aws-credentials;
            world aws-credentials { export delegation:tokens/receiver@0.1.0; }
        ",
        world: "deputy:aws-credentials/aws-credentials",
        with: { "delegation:tokens/types@0.1.0": deputy_kit::types },
        generate_all,
    });

    export!(AwsCredentials with_types_in self);
    use super::AwsCredentials;
}

struct AwsCredentials;

impl Guest for AwsCredentials {
    fn services() -> Vec<String> {
        vec!["s3".to_owned()]
    }

    fn accept(settings: Settings, deliveries: Vec<Delivery>) -> Result<(), Failure> {
        let config = Config::read(&settings)?;
        let held: Vec<Credentials> = deliveries.iter().map(credentials).collect::<Result<_, _>>()?;
        outputs::put(&files::all(&config, &held)?)
    }
}

fn credentials(delivery: &Delivery) -> Result<Credentials<'_>, Failure> {
    Credentials::read(&delivery.instance, &delivery.service, &delivery.tokens.payload)
}
