//! Brings a small payload with a handle that is larger than any payload may be.

use hostile_guests::{Tokens, guest, tokens};

guest!(|settings| Ok(Tokens { handle: vec![b'h'; settings.number("bytes") as usize], ..tokens("tokens") }));
