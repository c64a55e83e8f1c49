//! Moto: AWS's STS, S3 and IAM with all their calls, and without a check of signatures.

use crate::{Error, Server, Start, free_ports, get, tool};

/// A running moto server.
pub struct Moto {
    server: Server,
    port: u16,
}

impl Moto {
    /// Starts one.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start() -> Result<Self, Error> {
        let [port] = free_ports()?;
        let server = Start::new("moto", &tool("moto_server")?)?
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONUNBUFFERED", "1")
            .until(|| get(port, "/moto-api/data.json").is_some_and(|answer| answer.status == 200))?;
        Ok(Self { server, port })
    }

    /// Where all its services are.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port of all its services.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }
}
