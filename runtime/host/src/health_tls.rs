//! The certificate of the health port: read at the start, and again when its file has changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deputy_config::HealthTls;
use deputy_core::grant::Host;
use deputy_core::time::Clock as _;
use deputy_core::{ByteSize, in_one_line};
use deputy_sources::{SourceContext, SourceError, ValueShape, read};
use deputy_support::{RepeatedError, SystemClock, blocking, pause};
use deputy_tls::{
    CertificatesError, KeyError, ServerIdentity, ValidityError, certificates, check_validity, identity, is_for,
    server_config,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;

use crate::platform::Platform;

/// The time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The largest key in PEM.
const MAX_KEY: ByteSize = ByteSize::kib(64);

/// Why a certificate cannot be used at the health port.
#[derive(Debug, thiserror::Error)]
pub enum HealthTlsError {
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error("the key cannot be used, or is not that of {}", chain.display())]
    Key { chain: PathBuf, source: KeyError },
    #[error("the certificate in {} is not for {host}: set `advertise` to a name that it has", chain.display())]
    OtherHost { chain: PathBuf, host: Host },
    #[error("the certificate in {} {why}; browsers and probes refuse it", chain.display())]
    NotValid { chain: PathBuf, why: ValidityError },
    #[error("cannot read the key")]
    Source(#[from] SourceError),
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// The certificate in use.
pub(crate) struct HealthCertificate {
    section: HealthTls,
    sources: Arc<SourceContext>,
    identity: Arc<ServerIdentity>,
    /// The chain that is in use.
    chain: Vec<CertificateDer<'static>>,
    /// Why the file cannot be used any more.
    failure: RepeatedError,
}

/// Checks what `health-tls` names.
///
/// # Errors
/// If the certificate or its key cannot be used, or the certificate is not valid now.
pub async fn check(section: &HealthTls, platform: &Platform) -> Result<(), HealthTlsError> {
    HealthCertificate::open(section, platform).await?.check_validity()
}

impl HealthCertificate {
    pub(crate) async fn open(section: &HealthTls, platform: &Platform) -> Result<Self, HealthTlsError> {
        let sources = Arc::clone(&platform.sources);
        let chain = read_chain(section).await?;
        let identity = with_key(section, &sources, chain.clone()).await?;
        let identity = Arc::new(ServerIdentity::new(identity));
        Ok(Self { section: section.clone(), sources, identity, chain, failure: RepeatedError::default() })
    }

    /// An error if the certificate has ended, or has not begun.
    fn check_validity(&self) -> Result<(), HealthTlsError> {
        check_validity(&self.chain, SystemClock::default().now().wall)
            .map_err(|why| HealthTlsError::NotValid { chain: self.section.chain.clone(), why })
    }

    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>, HealthTlsError> {
        let config = server_config(Arc::clone(&self.identity), &[b"http/1.1"]);
        config.map(Arc::new).map_err(HealthTlsError::Tls)
    }

    /// Takes renewed certificates over, until it is dropped.
    pub(crate) async fn keep_fresh(mut self) {
        loop {
            pause(LOOK_EVERY).await;
            let looked = self.look().await;
            self.log(looked);
        }
    }

    /// Whether there is another certificate. The key is read only then: a certificate and its key are replaced together.
    async fn look(&mut self) -> Result<bool, HealthTlsError> {
        let chain = read_chain(&self.section).await?;
        if chain == self.chain {
            return Ok(false);
        }
        self.identity.replace(with_key(&self.section, &self.sources, chain.clone()).await?);
        self.chain = chain;
        Ok(true)
    }

    /// The same failure is logged once.
    fn log(&mut self, looked: Result<bool, HealthTlsError>) {
        let chain = self.section.chain.display();
        match looked {
            Ok(true) => tracing::info!(%chain, "the certificate of the health port was replaced"),
            Ok(false) => {}
            Err(error) => {
                return self.warn(
                    &error,
                    "the new certificate of the health port cannot be used: the one before it stays in use",
                );
            }
        }
        match self.check_validity() {
            // It still serves: probes that do not check it still pass.
            Err(error) => self.warn(&error, "the certificate of the health port is not valid now"),
            Ok(()) => self.failure.clear(),
        }
    }

    fn warn(&mut self, error: &HealthTlsError, what: &str) {
        let failure = in_one_line(error);
        if self.failure.is_new(&failure) {
            tracing::warn!(error = %failure, "{what}");
        }
    }
}

async fn read_chain(section: &HealthTls) -> Result<Vec<CertificateDer<'static>>, HealthTlsError> {
    let path = section.chain.clone();
    Ok(blocking(move || certificates(&path)).await?)
}

async fn with_key(
    section: &HealthTls,
    sources: &SourceContext,
    chain: Vec<CertificateDer<'static>>,
) -> Result<CertifiedKey, HealthTlsError> {
    let key = read(&section.key, ValueShape::bytes(MAX_KEY), sources).await?;
    let identity = identity(chain, &key);
    let identity = identity.map_err(|source| HealthTlsError::Key { chain: section.chain.clone(), source })?;
    let host = &section.advertise.host;
    let name = match host {
        Host::Address(address) => Some(ServerName::from(*address)),
        Host::Name(name) => ServerName::try_from(name.clone()).ok(),
    };
    match name.is_some_and(|name| is_for(&identity, &name)) {
        true => Ok(identity),
        false => Err(HealthTlsError::OtherHost { chain: section.chain.clone(), host: host.clone() }),
    }
}
