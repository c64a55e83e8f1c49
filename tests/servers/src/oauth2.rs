//! An OAuth 2.0 authorization server that gives a token to every client that asks.

use crate::{Error, Server, Start, free_ports, get, tool};

/// A running authorization server.
pub struct OAuth2 {
    server: Server,
    port: u16,
}

impl OAuth2 {
    /// Starts one.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start() -> Result<Self, Error> {
        let [port] = free_ports()?;
        let server = Start::new("oauth2", &tool("oauth2-mock-server")?)?
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .until(|| get(port, "/.well-known/openid-configuration").is_some_and(|answer| answer.status == 200))?;
        Ok(Self { server, port })
    }

    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Where tokens are asked for.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }
}
