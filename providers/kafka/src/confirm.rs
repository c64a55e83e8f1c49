//! A login with a new token, as its clients log in, before anyone has it.

use deputy_kit::failure;
use deputy_kit::types::Failure;
use deputy_kit_hadoop::active::ServerError;
use deputy_kit_hadoop::address::ServerAddress;
use deputy_kit_hadoop::kafka::{CreatedKafkaToken, KafkaError, KafkaErrorCode, host};
use deputy_scram::Mechanism;

/// How often a broker is asked that does not know the token yet: it learns of it from the controller.
const ATTEMPTS: u32 = 5;

/// How long it is waited for in between, in milliseconds.
const PAUSE: u64 = 200;

/// What brokers made of a token.
#[derive(Debug, Default)]
pub(crate) struct Confirmation {
    /// How many let it log in.
    pub(crate) confirmed: usize,
    /// What those say that did not answer.
    pub(crate) unreachable: Vec<String>,
}

/// Logs in at each broker. One that cannot be reached is passed over, since the cluster works without it.
///
/// # Errors
/// If a broker refuses the token, or none answers.
pub(crate) fn confirm(
    servers: &[ServerAddress],
    mechanism: Mechanism,
    token: &CreatedKafkaToken,
) -> Result<Confirmation, Failure> {
    confirm_with(servers, |server| host::try_token(server, mechanism, token), || host::pause(PAUSE))
}

fn confirm_with(
    servers: &[ServerAddress],
    mut login: impl FnMut(&ServerAddress) -> Result<(), KafkaError>,
    mut pause: impl FnMut(),
) -> Result<Confirmation, Failure> {
    let mut seen = Confirmation::default();
    for server in servers {
        let mut outcome = login(server);
        for _ in 1..ATTEMPTS {
            match &outcome {
                Err(error) if error.code() == Some(KafkaErrorCode::AUTHENTICATION_FAILED) => {}
                _ => break,
            }
            pause();
            outcome = login(server);
        }
        match outcome {
            Ok(()) => seen.confirmed += 1,
            Err(error) if error.may_be_answered_elsewhere() && !error.is_misconfigured() => {
                seen.unreachable.push(named(server, &error));
            }
            Err(error) => return Err(refused(server, error)),
        }
    }
    if seen.confirmed == 0 {
        let text = seen.unreachable.join("; ");
        return Err(failure::unavailable(format!("the new token was not confirmed by any broker: {text}")));
    }
    Ok(seen)
}

fn named(server: &ServerAddress, error: &KafkaError) -> String {
    if error.names_server() { error.to_string() } else { format!("{server}: {error}") }
}

fn refused(server: &ServerAddress, error: KafkaError) -> Failure {
    let text = format!("the new token cannot be used: {}", named(server, &error));
    let setting = match &error {
        KafkaError::Mechanism { .. } => Some("token-mechanism"),
        _ => None,
    };
    let failure = Failure { message: text, ..error.into() };
    match setting {
        Some(setting) => failure.setting(setting),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::tcp::TcpError;
    use deputy_kit::types::Next;

    fn servers() -> Vec<ServerAddress> {
        ServerAddress::parse_list("b1,b2,b3", Some(9092)).unwrap()
    }

    fn unknown_token() -> KafkaError {
        KafkaError::Refused {
            call: "SaslAuthenticate",
            code: KafkaErrorCode::AUTHENTICATION_FAILED,
            text: String::new(),
        }
    }

    fn unreachable() -> KafkaError {
        KafkaError::Connect(TcpError::Unreachable("b2:9092: connection refused".to_owned()))
    }

    #[test]
    fn confirm_waits_for_a_broker_that_learns_of_the_token_later() {
        let (mut logins, mut pauses) = (Vec::new(), 0);
        let login = |server: &ServerAddress| {
            logins.push(server.host.clone());
            if server.host == "b2" && logins.len() < 4 { Err(unknown_token()) } else { Ok(()) }
        };
        let seen = confirm_with(&servers(), login, || pauses += 1).unwrap();
        assert_eq!((seen.confirmed, seen.unreachable.len(), pauses), (3, 0, 2));
        assert_eq!(logins, ["b1", "b2", "b2", "b2", "b3"]);
    }

    #[test]
    fn confirm_fails_where_a_broker_refuses_for_good() {
        let mut pauses = 0;
        let failure = confirm_with(&servers(), |_| Err(unknown_token()), || pauses += 1).unwrap_err();
        assert_eq!((failure.next, pauses), (Next::Denied, ATTEMPTS - 1));
        assert!(failure.message.starts_with("the new token cannot be used: b1:9092: SaslAuthenticate"), "{failure:?}");
        let mechanism = || KafkaError::Mechanism { mechanism: "SCRAM-SHA-512", offered: "PLAIN".to_owned() };
        let failure = confirm_with(&servers(), |_| Err(mechanism()), || ()).unwrap_err();
        assert_eq!(failure.setting.as_deref(), Some("token-mechanism"));
        let not_granted = || KafkaError::Connect(TcpError::NotGranted("b1:9092".to_owned()));
        assert_eq!(confirm_with(&servers(), |_| Err(not_granted()), || ()).unwrap_err().next, Next::Misconfigured);
    }

    #[test]
    fn confirm_passes_over_a_broker_that_is_down() {
        let login = |server: &ServerAddress| if server.host == "b2" { Err(unreachable()) } else { Ok(()) };
        let seen = confirm_with(&servers(), login, || ()).unwrap();
        assert_eq!((seen.confirmed, seen.unreachable), (2, vec!["b2:9092: connection refused".to_owned()]));
        let failure = confirm_with(&servers(), |_| Err(unreachable()), || ()).unwrap_err();
        assert_eq!(failure.next, Next::Unavailable);
    }
}
