//! Writes the handle that it renews or revokes with, and its state, to the log, into facts and into a failure.

use hostile_guests::{Failure, Next, Obtained, Tokens, fact, failure, guest, logging, outcome, state, tokens, types};

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package hostile:renewal;
        world guest {
            include delegation:tokens/renews-tokens@0.2.0;
            include delegation:tokens/revokes-tokens@0.2.0;
        }
    ",
    world: "hostile:renewal/guest",
    with: { "delegation:tokens/types@0.2.0": hostile_guests::types },
});

guest!(|settings| {
    let saved = outcome(state::save(settings.text("state").as_bytes()));
    Ok(Tokens { handle: settings.text("handle").into(), ..tokens(saved) })
});

export!(Guest);

impl exports::delegation::tokens::renewal::Guest for Guest {
    fn renew(_: Vec<types::Setting>, held: Tokens) -> Obtained {
        let known = known(&held);
        logging::log(logging::Level::Error, &format!("I know {known}!"));
        Ok(Tokens {
            handle: held.handle,
            facts: vec![fact("known", &known), fact(&known, "known")],
            ..tokens("renewed")
        })
    }
}

impl exports::delegation::tokens::revocation::Guest for Guest {
    fn revoke(_: Vec<types::Setting>, held: Tokens) -> Result<(), Failure> {
        let known = known(&held);
        Err(Failure {
            code: Some(known.clone()),
            setting: Some(known.clone()),
            facts: vec![fact("known", &known)],
            ..failure(Next::Denied, format!("revoking with {known} failed"))
        })
    }
}

/// All that no worker may have.
fn known(held: &Tokens) -> String {
    let state = state::load().ok().flatten().unwrap_or_default();
    format!("{} {}", String::from_utf8_lossy(&held.handle), String::from_utf8_lossy(&state))
}
