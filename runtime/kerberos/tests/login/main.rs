//! Logins against the real KDC of MIT Kerberos, and contexts with a real service.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test arranges its own files, programs and services"
)]

mod caches;
mod contexts;
mod hostile;
mod kdcs;
mod keytabs;
mod principals;
mod realms;
mod setup;
mod tickets;
