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
use crate::tls_stream::{NotedStream, TlsProgress, is_ended_by_peer};
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
    /// `None` without TLS.
    tls: Option<Arc<TlsProgress>>,
    /// Drives the connection, and ends with it.
    _driver: JoinSet<()>,
}

/// Why a connection was not opened.
enum OpenError {
    Handshake(String),
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl MemberConnection {
    pub(crate) async fn open(endpoint: &EtcdEndpoint, tls: Option<&EtcdTls>) -> Result<Arc<Self>, EtcdError> {
        let opened = tokio::time::timeout(CONNECT, Self::connect(endpoint, tls)).await;
        let opened = opened.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        let endpoint = endpoint.to_string();
        opened.map(Arc::new).map_err(|error| match error {
            OpenError::Handshake(why) => EtcdError::Handshake { endpoint, why, is_unsent: true },
            OpenError::Io(source) => EtcdError::Connect { endpoint, source },
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the operator's etcd, at the address that the operator wrote down")]
    async fn connect(endpoint: &EtcdEndpoint, tls: Option<&EtcdTls>) -> Result<Self, OpenError> {
        let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
        stream.set_nodelay(true)?;
        if !endpoint.is_tls() {
            return Ok(Self::handshake(endpoint, stream, None).await?);
        }
        let tls = tls.ok_or_else(|| io::Error::other("there are no roots to check its certificate with"))?;
        let name = ServerName::try_from(endpoint.host().to_owned()).map_err(io::Error::other)?;
        let stream = match TlsConnector::from(Arc::clone(&tls.0)).connect(name, stream).await {
            Ok(stream) => stream,
            Err(error) if is_ended_by_peer(&error) => return Err(OpenError::Handshake(in_one_line(&error))),
            Err(error) => return Err(error.into()),
        };
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("it does not speak HTTP/2").into());
        }
        let (stream, progress) = NotedStream::new(stream);
        let opened = Self::handshake(endpoint, stream, Some(Arc::clone(&progress))).await;
        opened.map_err(|error| progress.refusal().map_or(OpenError::Io(error), OpenError::Handshake))
    }

    async fn handshake<S>(endpoint: &EtcdEndpoint, stream: S, tls: Option<Arc<TlsProgress>>) -> io::Result<Self>
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
        Ok(Self { endpoint: endpoint.clone(), sender, tls, _driver: driver })
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
            let endpoint = self.endpoint.to_string();
            return Err(match self.refusal() {
                Some(why) => EtcdError::Handshake { endpoint, why, is_unsent: true },
                None => EtcdError::Connect { endpoint, source: io::Error::other(error) },
            });
        }
        let is_stream = requests.is_stream();
        let response = sender.send_request(self.request(path, requests, token)?).await;
        let response = response.map_err(|error| match self.refusal() {
            Some(why) => EtcdError::Handshake { endpoint: self.endpoint.to_string(), why, is_unsent: false },
            None => self.broken(&in_one_line(&error)),
        });
        CallAnswers::new(response?, is_stream)
    }

    /// Why there is no TLS on a connection that failed.
    fn refusal(&self) -> Option<String> {
        self.tls.as_ref().and_then(|tls| tls.refusal())
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
