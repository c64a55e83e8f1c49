//! Brings tokens that end 584 million years after the call began, so that the host's addition overflows.

use hostile_guests::{Expiry, Tokens, guest, tokens};

guest!(|_| Ok(Tokens { expiry: Expiry::AfterMs(u64::MAX), ..tokens("tokens") }));
