//! From errors to the contract's failures, which decide what the host does next.

use crate::frames::FramingError;
use crate::identifier::IdentifierError;
use crate::rpc::{RemoteError, RpcError};
use crate::sasl::{ContextError, SaslError};
use crate::token::TokenError;
use deputy_kit::failure;
use deputy_kit::types::Failure;

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        let text = error.to_string();
        match error {
            RpcError::Connect(error) => error.into(),
            RpcError::Frame(error) => error.into(),
            RpcError::Sasl(error) => error.into(),
            RpcError::Remote(error) => error.into(),
            RpcError::ServerName { .. } => failure::misconfigured(text).setting("principal"),
            RpcError::NoSecurity | RpcError::NoKerberos(_) | RpcError::NoToken => failure::denied(text),
            RpcError::NoActive { is_misconfigured: true, .. } => failure::misconfigured(text),
            RpcError::Protocol(..) | RpcError::NoMeta | RpcError::NoActive { .. } => failure::unavailable(text),
        }
    }
}

impl From<FramingError> for Failure {
    fn from(error: FramingError) -> Self {
        let text = error.to_string();
        if error.is_other_protocol() { failure::misconfigured(text) } else { failure::unavailable(text) }
    }
}

impl From<SaslError> for Failure {
    fn from(error: SaslError) -> Self {
        let text = error.to_string();
        match error {
            SaslError::Context(error) => error.into(),
            SaslError::NoQuality { .. } => failure::misconfigured(text).setting("protection"),
            _ => failure::denied(text),
        }
    }
}

impl From<ContextError> for Failure {
    fn from(error: ContextError) -> Self {
        let text = error.to_string();
        match error {
            ContextError::Denied(_) => failure::misconfigured(text),
            ContextError::Unavailable(_) => failure::unavailable(text),
            ContextError::Refused(_) | ContextError::BadToken(_) | ContextError::WrongState => failure::denied(text),
        }
    }
}

/// An exception that says nothing about a token. From `renew` and `revoke`, look at [`RemoteError::is_invalid_token`] first.
impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let hint = match error.name() {
            // What a Java server says to every ticket that it does not accept.
            "SaslException" => "; the ticket may be for another service, or the clocks differ",
            _ => "",
        };
        let text = format!("{error}{hint}");
        let failure =
            if error.is_standby() || error.is_temporary() { failure::unavailable(text) } else { failure::denied(text) };
        if error.name().is_empty() { failure } else { failure.code(error.name()) }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        failure::denied(format!("the answer has no token: {error}"))
    }
}

impl From<IdentifierError> for Failure {
    fn from(error: IdentifierError) -> Self {
        failure::denied(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::tcp::TcpError;
    use deputy_kit::types::Next;

    #[test]
    fn failure_of_rpc_decides_what_is_done_next() {
        let remote = |class: &str| RpcError::from(RemoteError::new(class, "text"));
        for (error, next) in [
            (RpcError::Connect(TcpError::NotGranted("nn1:8020".to_owned())), Next::Misconfigured),
            (RpcError::Connect(TcpError::Unreachable("x".to_owned())), Next::Unavailable),
            (RpcError::Frame(FramingError::Closed), Next::Unavailable),
            (RpcError::Frame(FramingError::TooLong { length: 0x4854_5450, limit: 1 }), Next::Misconfigured),
            (RpcError::Frame(FramingError::TooLong { length: 0x0fff_ffff, limit: 1 }), Next::Unavailable),
            (ContextError::Denied("x".to_owned()).into(), Next::Misconfigured),
            (ContextError::Unavailable("x".to_owned()).into(), Next::Unavailable),
            (ContextError::Refused("x".to_owned()).into(), Next::Denied),
            (RpcError::Sasl(SaslError::NotSealed), Next::Denied),
            (remote("org.apache.hadoop.ipc.StandbyException"), Next::Unavailable),
            (remote("org.apache.hadoop.hdfs.server.namenode.SafeModeException"), Next::Unavailable),
            (remote("org.apache.hadoop.security.AccessControlException"), Next::Denied),
            (remote("org.apache.hadoop.security.token.SecretManager$InvalidToken"), Next::Denied),
            (RpcError::NoSecurity, Next::Denied),
            (RpcError::NoActive { text: "x".to_owned(), is_misconfigured: true }, Next::Misconfigured),
            (RpcError::NoActive { text: "x".to_owned(), is_misconfigured: false }, Next::Unavailable),
        ] {
            let text = error.to_string();
            assert_eq!(Failure::from(error).next, next, "{text}");
        }
    }

    #[test]
    fn failure_names_setting_and_code() {
        let error = RpcError::ServerName { offered: "hdfs/a".to_owned(), expected: "hdfs/b".to_owned() };
        assert_eq!(Failure::from(error).setting.as_deref(), Some("principal"));
        let remote = RemoteError::new("javax.security.sasl.SaslException", "GSS initiate failed");
        let failure = Failure::from(RpcError::from(remote));
        assert_eq!(failure.code.as_deref(), Some("SaslException"));
        assert!(failure.message.starts_with("SaslException: GSS initiate failed; the ticket may be"), "{failure:?}");
    }
}
