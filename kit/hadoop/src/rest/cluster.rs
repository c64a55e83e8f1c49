//! Delegation tokens of YARN over HTTP, from its ResourceManager.
//!
//! Source: `RMWebServices` of YARN, and `ResourceManagerRest.md`.

use super::answer::{self, ClusterAnswer};
use super::{RestError, RestServer};
use crate::active::{self, Dial};
use crate::lifecycle::TokenCalls;
use crate::token::HadoopToken;
use deputy_kit::http::{self, Method};
use deputy_kit::url::Url;
use deputy_kit::{clock, encode};

/// The path of the operations, below that of the ResourceManager.
pub const PATH: &str = "/ws/v1/cluster/delegation-token";

/// The path that renews, below that one.
const RENEWAL: &str = "/expiration";

/// The header that has the token (`RMWebServices.DELEGATION_TOKEN_HEADER`).
const TOKEN: &str = "Hadoop-YARN-RM-Delegation-Token";

/// A ResourceManager.
#[derive(Debug)]
pub struct ClusterClient {
    server: RestServer,
    user: Option<String>,
}

/// Makes [`ClusterClient`]s. A connection is made for each request.
#[derive(Debug)]
pub struct ClusterDial<'a> {
    user: Option<&'a str>,
}

impl<'a> ClusterDial<'a> {
    /// Requests on behalf of a user, or of the instance's own principal.
    #[must_use]
    pub fn new(user: Option<&'a str>) -> Self {
        Self { user }
    }
}

impl Dial for ClusterDial<'_> {
    type Server = RestServer;
    type Client = ClusterClient;
    type Error = RestError;

    fn dial(&mut self, server: &RestServer) -> Result<ClusterClient, RestError> {
        Ok(ClusterClient { server: server.clone(), user: self.user.map(str::to_owned) })
    }

    fn pause(&mut self) {
        active::wait_for_failover();
    }
}

impl ClusterClient {
    /// A new token, which `renewer` may renew, and its expiry, in milliseconds since 1970.
    ///
    /// # Errors
    /// If there is no answer, or one without a token.
    pub fn obtain_token(&mut self, renewer: &str) -> Result<(HadoopToken, u64), RestError> {
        let request = format!("{{\"renewer\":{}}}", encode::json(renewer));
        ClusterAnswer::token(&self.send(&Method::Post, "", None, request.as_bytes())?)
    }

    fn send(
        &self,
        method: &Method,
        path: &str,
        token: Option<&HadoopToken>,
        body: &[u8],
    ) -> Result<Vec<u8>, RestError> {
        let query = self.user.as_ref().map(|user| format!("?{}", encode::form([("doAs", user.as_str())])));
        let target = format!("{}{path}{}", self.server.url.target, query.unwrap_or_default());
        let url = Url { target, ..self.server.url.clone() };
        let token = token.map(HadoopToken::to_url_string);
        let mut headers =
            vec![("accept", "application/json"), ("accept-encoding", "identity"), ("content-type", "application/json")];
        headers.extend(token.as_ref().map(|token| (TOKEN, token.as_str())));
        answer::body(http::send(method, &url, &headers, body)?, clock::now())
    }
}

impl TokenCalls for ClusterClient {
    type Error = RestError;

    fn renew_token(&mut self, token: &HadoopToken) -> Result<u64, RestError> {
        ClusterAnswer::expiry(&self.send(&Method::Post, RENEWAL, Some(token), b"")?)
    }

    fn cancel_token(&mut self, token: &HadoopToken) -> Result<(), RestError> {
        self.send(&Method::Delete, "", Some(token), b"").map(drop)
    }
}
