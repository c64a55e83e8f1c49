//! Answers in JSON: a token, an expiry, or an exception of Hadoop.

use super::error::RestError;
use crate::rpc::RemoteError;
use crate::token::HadoopToken;
pub use deputy_kit::http::Response;
use deputy_kit::types::Timestamp;
use serde::Deserialize;

/// The body of a successful response.
///
/// # Errors
/// What the server says instead.
pub fn body(response: Response, now: Timestamp) -> Result<Vec<u8>, RestError> {
    // A ResourceManager that knows no active one says so to a browser: with 200 and this header.
    if response.status == 200 && response.header("refresh").is_some() {
        return Err(RestError::Standby);
    }
    if response.status == 200 && response.coding().is_none() {
        return Ok(response.body);
    }
    let delay = response.retry_after_ms(now);
    // A server that wants SPNEGO says so to every request without a ticket that it accepts.
    let wants_ticket = response.status == 401
        && response.header("www-authenticate").is_some_and(|header| header.trim_start().starts_with("Negotiate"));
    Err(match ExceptionAnswer::read(&response.body) {
        Some(remote) => RestError::Remote { status: response.status, remote, delay },
        None => RestError::Status { status: response.status, wants_ticket, delay },
    })
}

/// `{"Token": {"urlString": "…"}}`
#[derive(Deserialize)]
pub struct TokenAnswer<'a> {
    #[serde(rename = "Token", borrow)]
    token: Option<UrlString<'a>>,
}

#[derive(Deserialize)]
struct UrlString<'a> {
    #[serde(rename = "urlString")]
    url_string: &'a str,
}

impl TokenAnswer<'_> {
    /// Reads the token.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(body: &[u8]) -> Result<HadoopToken, RestError> {
        let answer: TokenAnswer<'_> = serde_json::from_slice(body).map_err(|_| RestError::Form)?;
        let text = answer.token.ok_or(RestError::NoToken)?.url_string;
        Ok(HadoopToken::from_url_string(text)?)
    }
}

/// `{"long": 1700086400000}`
#[derive(Deserialize)]
pub struct ExpiryAnswer {
    long: u64,
}

impl ExpiryAnswer {
    /// Reads the expiry, in milliseconds since 1970.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(body: &[u8]) -> Result<u64, RestError> {
        let answer: ExpiryAnswer = serde_json::from_slice(body).map_err(|_| RestError::Form)?;
        if answer.long == 0 { Err(RestError::Form) } else { Ok(answer.long) }
    }
}

/// `{"token": "…", "expiration-time": 1700086400000, …}`: what YARN says of a new token, and the time alone of a renewed one.
#[derive(Deserialize)]
pub struct ClusterAnswer<'a> {
    token: Option<&'a str>,
    #[serde(rename = "expiration-time")]
    expiry: u64,
}

impl ClusterAnswer<'_> {
    /// Reads a token, and its expiry in milliseconds since 1970.
    ///
    /// # Errors
    /// If one of them is missing.
    pub fn token(body: &[u8]) -> Result<(HadoopToken, u64), RestError> {
        let answer: ClusterAnswer<'_> = serde_json::from_slice(body).map_err(|_| RestError::Form)?;
        let token = HadoopToken::from_url_string(answer.token.ok_or(RestError::NoToken)?)?;
        Ok((token, Self::positive(answer.expiry)?))
    }

    /// Reads the expiry of a renewed token.
    ///
    /// # Errors
    /// If there is none.
    pub fn expiry(body: &[u8]) -> Result<u64, RestError> {
        let answer: ClusterAnswer<'_> = serde_json::from_slice(body).map_err(|_| RestError::Form)?;
        Self::positive(answer.expiry)
    }

    fn positive(expiry: u64) -> Result<u64, RestError> {
        if expiry == 0 { Err(RestError::Form) } else { Ok(expiry) }
    }
}

/// `{"RemoteException": {"exception": "…", "javaClassName": "…", "message": "…"}}`
#[derive(Deserialize)]
struct ExceptionAnswer {
    #[serde(rename = "RemoteException")]
    remote: RemoteException,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoteException {
    exception: Option<String>,
    java_class_name: Option<String>,
    message: Option<String>,
}

impl ExceptionAnswer {
    fn read(body: &[u8]) -> Option<RemoteError> {
        let RemoteException { exception, java_class_name, message } = serde_json::from_slice::<Self>(body).ok()?.remote;
        let class = java_class_name.or(exception).unwrap_or_default();
        Some(RemoteError::new(&class, &message.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::active::ServerError;
    use crate::lifecycle::TokenCallError;
    use crate::testing::{sample_token, vector};
    use crate::token::TokenError;

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        Response { status, headers, body: body.as_bytes().to_vec() }
    }

    fn failed(status: u16, headers: &[(&str, &str)], body: &str) -> RestError {
        super::body(response(status, headers, body), 0).unwrap_err()
    }

    #[test]
    fn rest_answers_of_hadoop_are_read() {
        let json = format!(r#"{{"Token":{{"urlString":"{}"}}}}"#, vector("token-url"));
        let token = TokenAnswer::read(json.as_bytes()).unwrap();
        assert_eq!((token.identifier, token.service.as_str()), (sample_token().identifier, "127.0.0.1:8020"));
        assert_eq!(ExpiryAnswer::read(br#"{"long":1700086400000}"#).unwrap(), 1_700_086_400_000);
        assert!(matches!(TokenAnswer::read(br#"{"Token":null}"#), Err(RestError::NoToken)));
    }

    #[test]
    fn rest_answers_of_yarn_are_read() {
        let token = vector("token-url");
        let json = format!(
            r#"{{"token":"{token}","renewer":"alice","owner":"alice@R","kind":"K","expiration-time":17,"max-validity":18}}"#
        );
        let (token, expiry) = ClusterAnswer::token(json.as_bytes()).unwrap();
        assert_eq!((token.identifier, expiry), (sample_token().identifier, 17));
        assert_eq!(ClusterAnswer::expiry(br#"{"expiration-time":17}"#).unwrap(), 17);
        assert!(matches!(ClusterAnswer::token(br#"{"expiration-time":17}"#), Err(RestError::NoToken)));
        for body in ["", "{}", "[]", r#"{"expiration-time":0}"#, r#"{"expiration-time":-1}"#] {
            assert!(matches!(ClusterAnswer::expiry(body.as_bytes()), Err(RestError::Form)), "{body}");
        }
        for token in ["", "?"] {
            let json = format!(r#"{{"token":"{token}","expiration-time":17}}"#);
            assert!(matches!(ClusterAnswer::token(json.as_bytes()), Err(RestError::Token(_))), "{token}");
        }
    }

    #[test]
    fn rest_answers_that_are_none_are_refused() {
        for body in
            ["", "{}", "[]", "<html>", r#"{"long":-1}"#, r#"{"long":0}"#, r#"{"long":1e400}"#, "{\"long\":\"1\"}"]
        {
            assert!(matches!(ExpiryAnswer::read(body.as_bytes()), Err(RestError::Form)), "{body}");
        }
        let nested = "[".repeat(100_000);
        assert!(matches!(TokenAnswer::read(nested.as_bytes()), Err(RestError::Form)));
        let json = br#"{"Token":{"urlString":"?"}}"#;
        assert!(matches!(TokenAnswer::read(json), Err(RestError::Token(TokenError::Base64))));
    }

    #[test]
    fn rest_exception_is_one_line() {
        let json = r#"{"RemoteException":{"exception":"InvalidToken","javaClassName":"a.SecretManager$InvalidToken","message":"Token not found\n\tat x"}}"#;
        let error = failed(403, &[], json);
        assert_eq!(error.to_string(), "403 InvalidToken: Token not found");
        assert!(error.is_token_refused() && error.is_token_unknown());
        let error = failed(403, &[], r#"{"RemoteException":{"exception":"EOFException","message":null}}"#);
        assert_eq!(error.to_string(), "403 EOFException");
        assert!(!error.is_token_refused());
    }

    #[test]
    fn rest_answer_without_hadoop_s_exception_says_what_helps() {
        let error = failed(401, &[("WWW-Authenticate", "Negotiate")], "<html>secret");
        assert_eq!(error.to_string(), "401: the server wants a Kerberos ticket: give the http rule `negotiate`");
        assert_eq!(failed(401, &[], "").to_string(), "401 without a reason");
        let text = "Can't find any active RM. Will retry in next 1 seconds.";
        let standby = failed(200, &[("Refresh", "1;url=http://rm1:8088/ws/v1/cluster/delegation-token")], text);
        assert_eq!(standby.to_string(), "this server is not active, and knows none that is");
        assert!(standby.may_be_answered_elsewhere() && !standby.is_refusal());
        assert_eq!(failed(200, &[("content-encoding", "gzip")], "{}").to_string(), "200 without a reason");
        assert!(failed(404, &[], "").is_token_unknown());
        assert!(failed(403, &[], "").is_token_refused());
    }
}
