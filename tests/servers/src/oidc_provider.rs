//! An OAuth 2.0 and OpenID Connect server of real conduct: each refresh token is good once, and who shows one again loses
//! the grant.

use std::path::Path;
use std::time::Duration;

use crate::http::post;
use crate::{Error, Server, Start, free_ports, get, tool};

/// The program around the library.
const PROGRAM: &str = include_str!("../node/oidc_provider.mjs");

/// Once in thousands of times it starts and then answers nothing. Another one does.
const ATTEMPTS: usize = 3;

/// How long one attempt may take, on a machine with two busy cores.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. What it granted ends with it.
pub struct OidcProvider {
    server: Server,
    port: u16,
}

impl OidcProvider {
    /// The client that a person grants its scopes.
    pub const CLIENT: &'static str = "deputy";

    /// The client that gets tokens by its own credentials, which it sends as HTTP Basic.
    pub const SERVICE: &'static str = "service";

    /// The client that gets tokens by an assertion, which its secret signs.
    pub const SIGNER: &'static str = "signer";

    /// The secret of all.
    pub const SECRET: &'static str = "canary-secret-of-the-client";

    /// Starts one whose access tokens live for this number of seconds.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(seconds: u32) -> Result<Self, Error> {
        let begun = (1..ATTEMPTS).find_map(|_| Self::begin(seconds).ok());
        begun.map_or_else(|| Self::begin(seconds), Ok)
    }

    fn begin(seconds: u32) -> Result<Self, Error> {
        let [port] = free_ports()?;
        let start = Start::new("oidc-provider", Path::new("node"))?;
        let program = start.file("oidc_provider.mjs", PROGRAM)?;
        let server = start
            .args([program, tool("oidc-provider")?])
            .args([&port.to_string(), &seconds.to_string(), Self::SECRET])
            .until_within(PATIENCE, || {
                get(port, "/.well-known/openid-configuration").is_some_and(|answer| answer.status == 200)
            })?;
        Ok(Self { server, port })
    }

    /// A person logs in: the first refresh token of a new grant.
    ///
    /// # Errors
    /// When it does not answer with one.
    pub fn login(&self) -> Result<String, Error> {
        match post(self.port, "/login") {
            Some(answer) if answer.status == 200 => Ok(answer.body),
            other => Err(Error::new(format!("no login: {other:?}\n{}", self.server.last_lines()))),
        }
    }

    /// Its port. Tokens are asked for at `/token`, and `/me` says whose an access token is.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
