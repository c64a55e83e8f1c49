//! What the server asks for, checked, and the answer to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client_first::HEADER;
use crate::{ClientFinal, Mechanism, Primitives, ScramKey};

/// A checked first message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    mechanism: Mechanism,
    salt: Vec<u8>,
    iterations: u32,
    without_proof: String,
    signed: String,
}

impl Challenge {
    pub(crate) fn new(
        mechanism: Mechanism,
        client_first_bare: &str,
        server_first: &str,
        nonce: &str,
        salt: Vec<u8>,
        iterations: u32,
    ) -> Self {
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(HEADER));
        let signed = format!("{client_first_bare},{server_first},{without_proof}");
        Self { mechanism, salt, iterations, without_proof, signed }
    }

    /// How often the hash function is iterated.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The proof that this side knows the password, and what proves that the server does. `password` is prepared: see
    /// [`crate::is_plain_password`].
    pub fn answer(&self, primitives: &impl Primitives, password: &[u8]) -> ClientFinal {
        let salted = primitives.derive(self.mechanism, password, &self.salt, self.iterations);
        let hmac = |key: &ScramKey, data: &[u8]| primitives.hmac(self.mechanism, key, data);
        let client_key = hmac(&salted, b"Client Key");
        let stored_key = primitives.hash(self.mechanism, &client_key);
        let signature = hmac(&stored_key, self.signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature.iter()).map(|(key, mask)| key ^ mask).collect();
        let server_key = hmac(&salted, b"Server Key");
        let server_signature = hmac(&server_key, self.signed.as_bytes());
        let message = format!("{},p={}", self.without_proof, STANDARD.encode(proof));
        ClientFinal::new(message, server_signature)
    }
}
