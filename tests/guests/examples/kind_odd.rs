//! Brings tokens of a kind that is none: each line of a setting, one a call, or one of a megabyte.

use hostile_guests::{Tokens, guest, tokens};

guest!(|settings| {
    let kind = settings.text("kind").replace("HUGE", &"x".repeat(1 << 20));
    Ok(Tokens { kind, ..tokens("tokens") })
});
