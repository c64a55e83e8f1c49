//! Brings tokens that have ended when they come.

use hostile_guests::{Expiry, Tokens, guest, tokens};

guest!(|_| Ok(Tokens { expiry: Expiry::AfterMs(0), ..tokens("tokens") }));
