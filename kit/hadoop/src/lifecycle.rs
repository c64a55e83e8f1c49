//! The life of a token, as the contract sees it: obtained, renewed to learn its expiry, renewed again, cancelled. The
//! providers share it, whichever protocol their service speaks.

use crate::active::{ActiveServer, Dial, ServerError};
use crate::held::LearnedExpiry;
use crate::token::HadoopToken;
use deputy_kit::types::{Failure, Next};

/// The calls for a token that exists.
pub trait TokenCalls {
    /// Why one fails.
    type Error: TokenCallError;

    /// Prolongs a token. The result is its new expiry, in milliseconds since 1970.
    ///
    /// # Errors
    /// If the call fails: this principal is not the renewer, or the token is past its maximum.
    fn renew_token(&mut self, token: &HadoopToken) -> Result<u64, Self::Error>;

    /// Has the server refuse the token from now on.
    ///
    /// # Errors
    /// If the call fails. If the server no longer knows the token: [`TokenCallError::is_token_unknown`].
    fn cancel_token(&mut self, token: &HadoopToken) -> Result<(), Self::Error>;
}

/// What an error says about the token.
pub trait TokenCallError: ServerError + Into<Failure> {
    /// Whether the server understood and refuses, for whatever reason.
    fn is_refusal(&self) -> bool;

    /// Whether it does not renew this token for this principal, so that a new one is of use.
    fn is_token_refused(&self) -> bool;

    /// Whether it does not know the token.
    fn is_token_unknown(&self) -> bool;
}

/// Renews a new token, since that is how a server tells its expiry. The token exists by now, so that no error loses it.
pub fn learn_expiry<D, E>(servers: &mut ActiveServer<'_, D>, token: &HadoopToken) -> LearnedExpiry
where
    D: Dial<Client: TokenCalls<Error = E>, Error = E>,
    E: TokenCallError,
{
    match servers.call(|client| client.renew_token(token)) {
        Ok(time) => LearnedExpiry::At(time),
        Err(error) if error.is_refusal() => LearnedExpiry::NotRenewable(error.to_string()),
        Err(error) => LearnedExpiry::Lost(error.to_string()),
    }
}

/// Renews a token and returns its new expiry, in milliseconds since 1970.
///
/// # Errors
/// `ended` if the server knows it no longer, or has another renewer for it.
pub fn renew<D, E>(servers: &mut ActiveServer<'_, D>, token: &HadoopToken) -> Result<u64, Failure>
where
    D: Dial<Client: TokenCalls<Error = E>, Error = E>,
    E: TokenCallError,
{
    servers.call(|client| client.renew_token(token)).map_err(|error| {
        let is_ended = error.is_token_refused();
        let failure = error.into();
        if is_ended { Failure { next: Next::Ended, ..failure } } else { failure }
    })
}

/// Has the server refuse the token. One that it does not know is a success.
///
/// # Errors
/// If the server is lost, or this principal may not cancel it.
pub fn cancel<D, E>(servers: &mut ActiveServer<'_, D>, token: &HadoopToken) -> Result<(), Failure>
where
    D: Dial<Client: TokenCalls<Error = E>, Error = E>,
    E: TokenCallError,
{
    match servers.call(|client| client.cancel_token(token)) {
        Err(error) if error.is_token_unknown() => Ok(()),
        other => other.map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ServerAddress;
    use crate::rpc::testing::{Server, error_answer, expiry_answer, token_answer};
    use crate::rpc::{ExpectedServer, RpcClient, RpcError, RpcOptions};
    use crate::sasl::Qualities;
    use crate::testing::{FakeContext, sample_token};
    use deputy_kit::types::Next;

    /// Servers in memory: each connection takes the next one.
    struct Connections(Vec<Server>);

    impl Dial for Connections {
        type Server = ServerAddress;
        type Client = RpcClient<Server, FakeContext>;
        type Error = RpcError;

        fn dial(&mut self, _: &ServerAddress) -> Result<Self::Client, RpcError> {
            let options = RpcOptions {
                protocol: "org.apache.hadoop.hdfs.protocol.ClientProtocol",
                server: ExpectedServer::new("nn1", None),
                qualities: Qualities::ANY,
                effective_user: None,
                client_id: [7; 16],
            };
            RpcClient::connect(self.0.remove(0), &options, |_| Ok(FakeContext::client()))
        }

        fn pause(&mut self) {}
    }

    const INVALID: &str = "org.apache.hadoop.security.token.SecretManager$InvalidToken";
    const ACCESS: &str = "org.apache.hadoop.security.AccessControlException";
    const STANDBY: &str = "org.apache.hadoop.ipc.StandbyException";

    fn addresses() -> Vec<ServerAddress> {
        ServerAddress::parse_list("nn1:8020,nn2:8020", None).unwrap()
    }

    fn answering(answers: &[&[u8]]) -> Server {
        let mut server = Server::new();
        server.answers = answers.iter().map(|answer| answer.to_vec()).collect();
        server
    }

    #[test]
    fn lifecycle_follows_a_fail_over_in_the_midst_of_an_obtain() {
        let addresses = addresses();
        let first = answering(&[&token_answer(0, &sample_token()), &error_answer(1, STANDBY, "")]);
        let second = answering(&[&expiry_answer(0, 1_700_086_400_000)]);
        let mut servers = ActiveServer::new(Connections(vec![first, second]), &addresses);
        let token = servers.call(|client| client.obtain_token("alice")).unwrap();
        let expiry = learn_expiry(&mut servers, &token);
        assert!(matches!(expiry, LearnedExpiry::At(1_700_086_400_000)), "{expiry:?}");
        assert_eq!(servers.current().map(ToString::to_string).as_deref(), Some("nn2:8020"));
    }

    #[test]
    fn lifecycle_obtains_again_when_the_answer_is_lost() {
        let addresses = addresses();
        let second = answering(&[&token_answer(0, &sample_token())]);
        let mut servers = ActiveServer::new(Connections(vec![answering(&[]), second]), &addresses);
        assert!(servers.call(|client| client.obtain_token("alice")).unwrap() == sample_token());
    }

    #[test]
    fn lifecycle_keeps_a_token_whose_expiry_is_not_learned() {
        let addresses = addresses();
        let refusing = answering(&[&error_answer(0, ACCESS, "non-matching renewer yarn")]);
        let mut servers = ActiveServer::new(Connections(vec![refusing]), &addresses);
        let expiry = learn_expiry(&mut servers, &sample_token());
        assert!(matches!(&expiry, LearnedExpiry::NotRenewable(text) if text.contains("renewer yarn")), "{expiry:?}");
        let lost = (0..8).map(|_| answering(&[])).collect();
        let mut servers = ActiveServer::new(Connections(lost), &addresses);
        assert!(matches!(learn_expiry(&mut servers, &sample_token()), LearnedExpiry::Lost(_)));
    }

    #[test]
    fn lifecycle_ends_with_a_token_that_is_not_renewed() {
        let addresses = addresses();
        for (class, next) in [
            (INVALID, Next::Ended),
            (ACCESS, Next::Ended),
            ("org.apache.hadoop.security.authorize.AuthorizationException", Next::Denied),
        ] {
            let refusing = answering(&[&error_answer(0, class, "no")]);
            let mut servers = ActiveServer::new(Connections(vec![refusing]), &addresses);
            let failure = renew(&mut servers, &sample_token()).unwrap_err();
            assert_eq!(failure.next, next, "{failure:?}");
        }
    }

    #[test]
    fn lifecycle_cancels_what_the_server_no_longer_knows() {
        let addresses = addresses();
        let unknown =
            answering(&[&error_answer(0, INVALID, "can't be found in cache"), &error_answer(1, ACCESS, "no")]);
        let mut servers = ActiveServer::new(Connections(vec![unknown]), &addresses);
        assert!(cancel(&mut servers, &sample_token()).is_ok());
        assert_eq!(cancel(&mut servers, &sample_token()).unwrap_err().next, Next::Denied);
    }
}
