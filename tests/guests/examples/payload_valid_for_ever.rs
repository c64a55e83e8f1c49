//! Brings back tokens that end 584 million years from now.

use hostile_guests::{Expiry, Tokens, guest, tokens};

guest!(|_| Ok(Tokens { expiry: Expiry::At(u64::MAX), ..tokens("tokens") }));
