//! One HTTP/2 connection to one member.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::{EtcdEndpoint, in_one_line};
use http::{HeaderValue, Method, Request, Uri, Version};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::grpc::{AnswerError, CallAnswers, Requests};
use crate::{EtcdError, EtcdTls};

/// Resolving, connecting and both handshakes.
const CONNECT: Duration = Duration::from_secs(3);

/// While something is awaited on a connection, it is probed this often, since a frozen member closes nothing. etcd closes
/// connections that probe more often than each 5 s.
const KEEP_ALIVE: Duration = Duration::from_secs(6);

const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(4);

/// How much of an answer may be under way: a page of a listing.
const WINDOW: u32 = 1 << 20;

pub(crate) struct MemberConnection {
    endpoint: EtcdEndpoint,
    sender: SendRequest<Requests>,
    /// Drives the connection, and ends with it.
    _driver: JoinSet<()>,
}

impl MemberConnection {
    pub(crate) async fn open(endpoint: &EtcdEndpoint, tls: Option<&EtcdTls>) -> Result<Arc<Self>, EtcdError> {
        let opened = tokio::time::timeout(CONNECT, Self::connect(endpoint, tls)).await;
        let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let failed = |source| EtcdError::Connect { endpoint: endpoint.to_string(), source };
        opened.map(Arc::new).map_err(failed)
    }

    #[expect(clippy::disallowed_methods, reason = "the operator's etcd, at the address that the operator wrote down")]
    async fn connect(endpoint: &EtcdEndpoint, tls: Option<&EtcdTls>) -> io::Result<Self> {
        let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
        stream.set_nodelay(true)?;
        if !endpoint.is_tls() {
            return Self::handshake(endpoint, stream).await;
        }
        let tls = tls.ok_or_else(|| io::Error::other("there are no roots to check its certificate with"))?;
        let name = ServerName::try_from(endpoint.host().to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&tls.0)).connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("it does not speak HTTP/2"));
        }
        Self::handshake(endpoint, stream).await
    }

    async fn handshake<S>(endpoint: &EtcdEndpoint, stream: S) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new());
        builder.keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        builder.initial_stream_window_size(WINDOW).initial_connection_window_size(4 * WINDOW);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let mut driver = JoinSet::new();
        let member = endpoint.to_string();
        driver.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(endpoint = member, error = in_one_line(&error), "connection to etcd ended");
            }
        });
        Ok(Self { endpoint: endpoint.clone(), sender, _driver: driver })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request, and waits for the head of the response.
    pub(crate) async fn send<A: Message + Default>(
        &self,
        path: &'static str,
        requests: Requests,
        token: Option<&HeaderValue>,
    ) -> Result<CallAnswers<A>, EtcdError> {
        let mut sender = self.sender.clone();
        if let Err(error) = sender.ready().await {
            return Err(EtcdError::Connect { endpoint: self.endpoint.to_string(), source: io::Error::other(error) });
        }
        let is_stream = requests.is_stream();
        let response = sender.send_request(self.request(path, requests, token)?).await;
        CallAnswers::new(response.map_err(|error| self.broken(&in_one_line(&error)))?, is_stream)
    }

    fn request(
        &self,
        path: &'static str,
        requests: Requests,
        token: Option<&HeaderValue>,
    ) -> Result<Request<Requests>, EtcdError> {
        let scheme = if self.endpoint.is_tls() { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(self.endpoint.authority()).path_and_query(path).build();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri.map_err(|_| EtcdError::Unusable("this endpoint"))?)
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            // A member that knows no leader refuses, and ends its streams, instead of serving what is old.
            .header("hasleader", "true");
        if let Some(token) = token {
            request = request.header("token", token);
        }
        request.body(requests).map_err(|_| EtcdError::Unusable("this request"))
    }

    pub(crate) fn broken(&self, why: &str) -> EtcdError {
        EtcdError::Broken { endpoint: self.endpoint.to_string(), why: why.to_owned() }
    }

    pub(crate) fn explain(&self, error: AnswerError) -> EtcdError {
        match error {
            AnswerError::Broken(why) => self.broken(&why),
            AnswerError::Etcd(error) => error,
        }
    }
}
