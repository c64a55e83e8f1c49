//! Delegation tokens over HTTP: WebHDFS, HttpFS and KMS have the same operations, with answers in JSON.
//!
//! The component sends no credentials: the host adds `Authorization: Negotiate` by the rule of the request. Source:
//! `org.apache.hadoop.security.token.delegation.web.DelegationTokenAuthenticator`, and `WebHDFS.md` of Hadoop.

pub mod answer;
pub mod cluster;
mod error;
mod users;

pub use error::RestError;
pub use users::TokenUsers;

use crate::active::{self, ActiveServer, Dial};
use crate::held::LearnedExpiry;
use crate::identifier::TokenIdentifier;
use crate::lifecycle::TokenCalls;
use crate::token::HadoopToken;
use answer::{ExpiryAnswer, TokenAnswer};
use deputy_kit::http::{self, Method};
use deputy_kit::types::{Failure, Tokens};
use deputy_kit::url::Url;
use deputy_kit::{clock, encode};

/// The address of a service whose operations are in the query, such as `http://nn1:9870/webhdfs/v1/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestServer {
    /// The URL without a query.
    pub url: Url,
}

impl std::fmt::Display for RestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.url.fmt(f)
    }
}

/// One server of a set.
#[derive(Debug)]
pub struct RestClient {
    server: RestServer,
    /// The parameter for a proxied user, and who that is.
    doas: Option<(&'static str, String)>,
}

/// Makes [`RestClient`]s. A connection is made for each request.
#[derive(Debug)]
pub struct RestDial<'a> {
    doas: Option<(&'static str, &'a str)>,
}

impl<'a> RestDial<'a> {
    /// Requests on behalf of a user, by this parameter (`doas` in WebHDFS, `doAs` elsewhere), or of the instance's own
    /// principal.
    #[must_use]
    pub fn new(parameter: &'static str, user: Option<&'a str>) -> Self {
        Self { doas: user.map(|user| (parameter, user)) }
    }
}

impl Dial for RestDial<'_> {
    type Server = RestServer;
    type Client = RestClient;
    type Error = RestError;

    fn dial(&mut self, server: &RestServer) -> Result<RestClient, RestError> {
        let doas = self.doas.map(|(parameter, user)| (parameter, user.to_owned()));
        Ok(RestClient { server: server.clone(), doas })
    }

    fn pause(&mut self) {
        active::wait_for_failover();
    }
}

impl RestClient {
    /// A new token. Without a renewer, the token's user renews it.
    ///
    /// # Errors
    /// If there is no answer, or one without a token.
    pub fn obtain_token(&self, renewer: Option<&str>) -> Result<HadoopToken, RestError> {
        let renewer = renewer.map(|renewer| ("renewer", renewer));
        let doas = self.doas.as_ref().map(|(parameter, user)| (*parameter, user.as_str()));
        let body = self.send(&Method::Get, "GETDELEGATIONTOKEN", renewer.into_iter().chain(doas))?;
        TokenAnswer::read(&body)
    }

    fn send<'q>(
        &self,
        method: &Method,
        operation: &'q str,
        parameters: impl IntoIterator<Item = (&'q str, &'q str)>,
    ) -> Result<Vec<u8>, RestError> {
        let query = encode::form([("op", operation)].into_iter().chain(parameters));
        let target = format!("{}?{query}", self.server.url.target);
        let url = Url { target, ..self.server.url.clone() };
        let headers = [("accept", "application/json"), ("accept-encoding", "identity")];
        answer::body(http::send(method, &url, &headers, b"")?, clock::now())
    }
}

impl TokenCalls for RestClient {
    type Error = RestError;

    fn renew_token(&mut self, token: &HadoopToken) -> Result<u64, RestError> {
        let text = token.to_url_string();
        ExpiryAnswer::read(&self.send(&Method::Put, "RENEWDELEGATIONTOKEN", [("token", text.as_str())])?)
    }

    fn cancel_token(&mut self, token: &HadoopToken) -> Result<(), RestError> {
        let text = token.to_url_string();
        self.send(&Method::Put, "CANCELDELEGATIONTOKEN", [("token", text.as_str())]).map(drop)
    }
}

/// The servers of a service.
pub type RestServers<'a> = ActiveServer<'a, RestDial<'a>>;

/// The tokens of the contract, with what an operator wants to see of them and of the server. `payload` is the file with
/// the token.
///
/// # Errors
/// If the server made a token with a malformed identifier.
pub fn held(
    servers: &RestServers<'_>,
    token: &HadoopToken,
    payload: Vec<u8>,
    expiry: LearnedExpiry,
) -> Result<Tokens, Failure> {
    let identifier = TokenIdentifier::read_writable(&token.identifier)?;
    let tokens = crate::held::held(token, identifier, payload, expiry);
    Ok(match servers.current() {
        Some(server) => tokens.fact("server", server.to_string()),
        None => tokens,
    })
}
