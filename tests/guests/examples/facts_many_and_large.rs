//! Brings more facts than are kept, each of them larger than one may be.

use hostile_guests::{Obtained, Settings, Tokens, fact, guest, tokens};

guest!(obtain);

fn obtain(settings: &Settings) -> Obtained {
    let large = "x".repeat(settings.number("bytes") as usize);
    let facts = (0..settings.number("count")).map(|n| fact(format!("{n:03} {large}"), format!("{n:03} {large}")));
    Ok(Tokens { facts: facts.collect(), ..tokens("tokens") })
}
