//! Says that newer tokens are to be had long ago or never, and that these can be renewed for ever or no more.

use hostile_guests::{Expiry, Tokens, guest, tokens};

guest!(|settings| Ok(Tokens {
    expiry: Expiry::AfterMs(3_600_000),
    next_at: Some(settings.number("next-at")),
    renewable_until: Some(settings.number("renewable-until")),
    ..tokens("tokens")
}));
