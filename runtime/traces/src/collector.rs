//! The collector: one POST on a connection of its own for each batch.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deputy_core::grant::{Host, Scheme};
use deputy_core::{SecretSource, TracePlan};
use deputy_sources::{SourceContext, ValueShape, read};
use deputy_support::blocking;
use deputy_tls::client_config;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::export_error::CollectorError;
use crate::message::ExportTraceServiceResponse;

/// For one batch, from the look-up of the name to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 << 10;

const USER_AGENT: &str = concat!("deputy/", env!("CARGO_PKG_VERSION"));

/// Where batches are posted.
pub struct Collector {
    url: String,
    uri: Uri,
    host: Host,
    address: String,
    /// Whom to trust: a file, or the system's. `None` without TLS.
    roots: Option<Option<PathBuf>>,
    headers: Vec<(HeaderName, SecretSource)>,
    sources: Arc<SourceContext>,
    tls: Option<Arc<ClientConfig>>,
}

impl Collector {
    /// A collector as it is configured. Connects to nothing, and reads its files, so that a wrong name is known at the start.
    ///
    /// # Errors
    /// If the certificates cannot be read, or the URL cannot be used.
    pub async fn open(plan: &TracePlan, sources: Arc<SourceContext>) -> Result<Self, CollectorError> {
        let url = plan.collector.to_string();
        let target = plan.collector.target();
        let uri = plan.collector.path().parse().map_err(|_| CollectorError::Request(url.clone()))?;
        let name = |name: &String| HeaderName::try_from(name).map_err(|_| CollectorError::HeaderValue(name.clone()));
        let headers = plan.headers.iter().map(|(header, source)| Ok((name(header)?, source.clone())));
        let mut collector = Self {
            uri,
            host: target.host().clone(),
            address: format!("{}:{}", target.host(), target.port()),
            roots: (target.scheme() == Scheme::Https).then(|| plan.roots.clone()),
            headers: headers.collect::<Result<_, CollectorError>>()?,
            sources,
            tls: None,
            url,
        };
        collector.load_roots().await?;
        Ok(collector)
    }

    /// Reads the headers as for a request, and sends nothing.
    ///
    /// # Errors
    /// If the value of one cannot be read, or is none.
    pub async fn check(&self) -> Result<(), CollectorError> {
        self.request(Bytes::new()).await.map(drop)
    }

    /// Where it is, for a log.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Posts a batch. Returns how many of its spans the collector refused.
    pub(crate) async fn post(&mut self, batch: Bytes) -> Result<u64, CollectorError> {
        let posted = match tokio::time::timeout(DEADLINE, self.exchange(batch)).await {
            Ok(posted) => posted,
            Err(_) => Err(CollectorError::Timeout(self.url.clone())),
        };
        if posted.is_err() {
            // The file may have been replaced.
            self.tls = None;
        }
        posted
    }

    async fn exchange(&mut self, batch: Bytes) -> Result<u64, CollectorError> {
        let request = self.request(batch).await?;
        let stream = self.connect().await?;
        match self.load_roots().await? {
            None => self.send(stream, request).await,
            Some(config) => {
                let name = match &self.host {
                    Host::Address(address) => ServerName::from(*address),
                    Host::Name(name) => {
                        ServerName::try_from(name.clone()).map_err(|_| CollectorError::Request(self.url.clone()))?
                    }
                };
                let stream = TlsConnector::from(config).connect(name, stream).await;
                let stream = stream.map_err(|error| CollectorError::Connect(self.url.clone(), error))?;
                self.send(stream, request).await
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the address is the operator's, from the configuration")]
    async fn connect(&self) -> Result<TcpStream, CollectorError> {
        let stream = TcpStream::connect(&self.address).await;
        stream.map_err(|error| CollectorError::Connect(self.url.clone(), error))
    }

    async fn request(&self, batch: Bytes) -> Result<Request<Full<Bytes>>, CollectorError> {
        let unusable = |_| CollectorError::Request(self.url.clone());
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::try_from(&self.address).map_err(unusable)?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        for (name, source) in &self.headers {
            let value = read(source, ValueShape::SECRET, &self.sources).await;
            let value = value.map_err(|error| CollectorError::Header(name.to_string(), error))?;
            let value = HeaderValue::from_bytes(value.expose());
            let mut value = value.map_err(|_| CollectorError::HeaderValue(name.to_string()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut request = Request::new(Full::new(batch));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn send<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<u64, CollectorError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let failed = |error| CollectorError::Exchange(self.url.clone(), error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(failed)?;
            self.judge(response).await
        };
        // The connection ends with the exchange: nothing else is sent on it.
        tokio::select! {
            biased;
            answer = exchange => answer,
            Err(error) = connection => Err(failed(error)),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "what is read has an end: `Limited`")]
    async fn judge(&self, response: Response<Incoming>) -> Result<u64, CollectorError> {
        let status = response.status();
        if !status.is_success() {
            let after = response.headers().get(header::RETRY_AFTER);
            let after = after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
            return Err(CollectorError::Status { url: self.url.clone(), status: status.as_u16(), retry_after: after });
        }
        // An answer that cannot be read is one without complaint.
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let answer = body.ok().and_then(|body| ExportTraceServiceResponse::decode(body.to_bytes()).ok());
        let partial = answer.and_then(|answer| answer.partial_success);
        Ok(partial.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or_default())
    }

    /// The configuration of TLS, read again after a failure; `None` without TLS.
    async fn load_roots(&mut self) -> Result<Option<Arc<ClientConfig>>, CollectorError> {
        let Some(roots) = self.roots.clone() else { return Ok(None) };
        if self.tls.is_none() {
            let roots = blocking(move || deputy_tls::roots(roots.as_deref())).await.map_err(CollectorError::Roots)?;
            self.tls = Some(Arc::new(client_config(roots, None, &[b"http/1.1"]).map_err(CollectorError::Tls)?));
        }
        Ok(self.tls.clone())
    }
}
