//! Access tokens as the files that `curl --header @FILE` reads, one for each instance.

use bindings::exports::delegation::tokens::receiver::{Accepted, Bound, Delivery, Guest, Rejection};
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::outputs::{self, OutputFiles};
use deputy_kit::types::{Failure, Setting, Settings};
use deputy_kit::{failure, settings::SettingsReader, tokens::BEARER_TOKEN};

// The kit brings `outputs`.
deputy_kit::export_component!(
    Receiver in "../../../wit",
    "package deputy:connector;
    world component { export delegation:tokens/receiver@0.2.0; include delegation:tokens/describes-itself@0.2.0; }"
);

deputy_kit::describe!(Receiver);

struct Receiver;

impl Guest for Receiver {
    fn kinds(_: Settings) -> Result<Vec<String>, Failure> {
        Ok(vec![BEARER_TOKEN.to_owned()])
    }

    fn check(settings: Settings, bound: Vec<Bound>) -> Result<(), Failure> {
        SettingsReader::described(&settings, Self::SETTINGS)?;
        let is_other = |bound: &&Bound| !bound.kinds.is_empty() && !bound.kinds.iter().any(|kind| kind == BEARER_TOKEN);
        match bound.iter().find(is_other) {
            Some(bound) => Err(failure::misconfigured(format!("{} obtains no {BEARER_TOKEN}", bound.instance))),
            None => Ok(()),
        }
    }

    fn accept(_: Settings, deliveries: Vec<Delivery>) -> Result<Accepted, Failure> {
        let (mut files, mut rejected) = (OutputFiles::new(), Vec::new());
        for Delivery { instance, payload, .. } in deliveries {
            // A line break would start another header.
            if payload.is_empty() || !payload.iter().all(u8::is_ascii_graphic) {
                rejected.push(Rejection { instance, failure: failure::denied("the payload is not one word") });
                continue;
            }
            let header = [b"Authorization: Bearer ", payload.as_slice(), b"\n"].concat();
            files.insert(format!("{instance}.header"), header);
        }
        outputs::put(&files)?;
        Ok(Accepted { rejected, facts: Vec::new() })
    }
}

impl Describe for Receiver {
    const TITLE: &'static str = "Access tokens as headers for curl";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[];

    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        SettingsReader::described(settings, Self::SETTINGS).map(|_| Vec::new())
    }
}
