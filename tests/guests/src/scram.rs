//! SCRAM logins, each step in one line.

use crate::secrets::{Secret, line};

pub use crate::bindings::delegation::tokens::scram::Login;

/// What a hostile server makes of the client's first message: `{nonce}` stands for the client's nonce.
pub fn server_first(login: &Login, pattern: &str) -> String {
    let first = login.client_first();
    let nonce = first.split(",r=").nth(1).expect("a nonce").to_owned();
    pattern.replace("{nonce}", &nonce)
}

/// The proof for a server's first message, or why there is none.
pub fn prove(secret: &Secret, mechanism: &str, pattern: &str) -> String {
    let proof = Login::begin(secret, mechanism).and_then(|login| login.client_final(&server_first(&login, pattern)));
    line(proof)
}
