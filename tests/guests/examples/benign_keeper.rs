//! Keeps state and handles as a test's server tells it to, and talks about them wherever a component can talk.
//!
//! The server gets what `state` held as the body of `obtain`. What it calls the fact `state` is saved.

use hostile_guests::bindings::exports::delegation::tokens::provider;
use hostile_guests::script::ask;
use hostile_guests::{Failure, KIND, Obtained, Settings, Tokens, fact, hex, logging, state, tokens, types};

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package hostile:keeper;
        world guest {
            include delegation:tokens/renews-tokens@0.2.0;
            include delegation:tokens/revokes-tokens@0.2.0;
        }
    ",
    world: "hostile:keeper/guest",
    with: { "delegation:tokens/types@0.2.0": hostile_guests::types },
});

struct Guest;

hostile_guests::bindings::export!(Guest with_types_in hostile_guests::bindings);
export!(Guest);

impl provider::Guest for Guest {
    fn service_name(_: Vec<types::Setting>) -> Result<String, Failure> {
        Ok("keeper".to_owned())
    }

    fn kinds(_: Vec<types::Setting>) -> Result<Vec<String>, Failure> {
        Ok(vec![KIND.to_owned()])
    }

    fn tokens_required(_: Vec<types::Setting>) -> Result<bool, Failure> {
        Ok(true)
    }

    fn obtain(settings: Vec<types::Setting>) -> Obtained {
        let kept = state::load().expect("state").unwrap_or_default();
        talk(&kept);
        brought(ask(&Settings::new(settings), "obtain", Some(&tokens(kept))))
    }
}

impl exports::delegation::tokens::renewal::Guest for Guest {
    fn renew(settings: Vec<types::Setting>, tokens: Tokens) -> Obtained {
        talk(&tokens.handle);
        brought(ask(&Settings::new(settings), "renew", Some(&tokens)))
    }
}

impl exports::delegation::tokens::revocation::Guest for Guest {
    fn revoke(settings: Vec<types::Setting>, tokens: Tokens) -> Result<(), Failure> {
        talk(&tokens.handle);
        ask(&Settings::new(settings), "revoke", Some(&tokens)).map(drop)
    }
}

/// Saves the state, and tells what it is and what the handle is before the host has either.
fn brought(answer: Result<Option<Tokens>, Failure>) -> Obtained {
    let mut tokens = answer?.expect("a payload in the script");
    let position = tokens.facts.iter().position(|fact| fact.name == "state").expect("a state in the script");
    let saved = tokens.facts.remove(position).value.into_bytes();
    talk(&saved);
    talk(&tokens.handle);
    state::save(&saved).expect("room for state");
    for value in [saved, tokens.handle.clone()] {
        let text = String::from_utf8(value.clone()).expect("text");
        tokens.facts.push(fact("told", format!("it is {text}, {}", hex(&value))));
        tokens.facts.push(fact(text, "is its name"));
    }
    Ok(tokens)
}

fn talk(value: &[u8]) {
    let text = String::from_utf8(value.to_vec()).expect("text");
    for level in [logging::Level::Debug, logging::Level::Info, logging::Level::Warn, logging::Level::Error] {
        logging::log(level, &format!("it is {text} and {}", hex(value)));
    }
}
