//! What a component does with its host's network, clock and random numbers.

use super::{CreatedKafkaToken, KafkaClient, KafkaError, TokenLogin};
use crate::address::ServerAddress;
use deputy_kit::tcp::TcpStream;
use deputy_scram::Mechanism;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::random::random::get_random_bytes;

/// Bytes of a nonce before it is encoded.
const NONCE: u64 = 24;

/// Waits.
pub fn pause(milliseconds: u64) {
    subscribe_duration(milliseconds.saturating_mul(1_000_000)).block();
}

/// Logs in at a broker with a token, as its clients do, and closes the connection.
///
/// # Errors
/// If the broker does not answer, or refuses.
pub fn try_token(server: &ServerAddress, mechanism: Mechanism, token: &CreatedKafkaToken) -> Result<(), KafkaError> {
    let mut client = KafkaClient::new(TcpStream::connect(&server.host, server.port)?);
    let mut login = TokenLogin::new(mechanism, &token.id, &token.hmac, &get_random_bytes(NONCE))?;
    client.login(&mut login)
}
