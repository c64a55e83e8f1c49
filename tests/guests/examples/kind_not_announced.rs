//! Announces one kind and brings another, for which another receiver waits.

use hostile_guests::{Tokens, guest, tokens};

guest!(|_| Ok(Tokens { kind: "aws-credential-process/1".to_owned(), ..tokens("tokens") }));
