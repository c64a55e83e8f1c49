//! Brings back nothing, as if that were a credential.

use hostile_guests::{bring, guest};

guest!(|_| bring(Vec::new()));
