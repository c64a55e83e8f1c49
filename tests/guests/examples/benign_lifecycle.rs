//! Obtains, renews and revokes as a test's server tells it to, and needs tokens unless the settings say otherwise.

use hostile_guests::bindings::exports::delegation::tokens::provider;
use hostile_guests::script::ask;
use hostile_guests::{Failure, KIND, Obtained, Settings, Tokens, types};

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package hostile:lifecycle;
        world guest {
            include delegation:tokens/renews-tokens@0.2.0;
            include delegation:tokens/revokes-tokens@0.2.0;
        }
    ",
    world: "hostile:lifecycle/guest",
    with: { "delegation:tokens/types@0.2.0": hostile_guests::types },
});

struct Guest;

hostile_guests::bindings::export!(Guest with_types_in hostile_guests::bindings);
export!(Guest);

impl provider::Guest for Guest {
    fn service_name(settings: Vec<types::Setting>) -> Result<String, Failure> {
        Ok(Settings::new(settings).words("service", "lifecycle").concat())
    }

    fn kinds(settings: Vec<types::Setting>) -> Result<Vec<String>, Failure> {
        Ok(Settings::new(settings).words("kinds", KIND))
    }

    fn tokens_required(settings: Vec<types::Setting>) -> Result<bool, Failure> {
        Ok(!settings.iter().any(|setting| setting.name == "required" && setting.value == "false"))
    }

    fn obtain(settings: Vec<types::Setting>) -> Obtained {
        brought(ask(&Settings::new(settings), "obtain", None))
    }
}

impl exports::delegation::tokens::renewal::Guest for Guest {
    fn renew(settings: Vec<types::Setting>, tokens: Tokens) -> Obtained {
        brought(ask(&Settings::new(settings), "renew", Some(&tokens)))
    }
}

impl exports::delegation::tokens::revocation::Guest for Guest {
    fn revoke(settings: Vec<types::Setting>, tokens: Tokens) -> Result<(), Failure> {
        ask(&Settings::new(settings), "revoke", Some(&tokens)).map(drop)
    }
}

fn brought(answer: Result<Option<Tokens>, Failure>) -> Obtained {
    answer.map(|tokens| tokens.expect("a payload in the script"))
}
