//! Brings back tokens that end 584 million years from now.

use hostile_guests::{Tokens, guest};

guest!(|_| Ok(Tokens { payload: b"tokens".to_vec(), valid_until: Some(u64::MAX) }));
