//! What a client shows to etcd: certificates, which are read again for each connection, and a password, which is read again
//! when etcd refuses it. Both are renewed while a coordinator runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deputy_config::EtcdSection;
use deputy_core::{ByteSize, SecretBytes, SecretSource, in_one_line};
use deputy_etcd::{EtcdTls, PasswordSource, TlsSource};
use deputy_sources::{SourceContext, ValueShape, read};
use deputy_support::{LockUnpoisoned as _, RepeatedError, SystemClock, blocking};
use deputy_tls::{CertificatesError, check_validity};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::ProcessError;
use crate::platform::Platform;

/// The largest key in PEM.
const MAX_KEY: ByteSize = ByteSize::kib(64);

const MAX_PASSWORD: ByteSize = ByteSize::kib(4);

/// How long a connection or a login waits for a reading, which goes on after that.
const PATIENCE: Duration = Duration::from_secs(2);

/// The certificates in use, and where the next ones are read.
pub(crate) struct EtcdCertificates {
    files: Arc<CertificateFiles>,
    reading: Reading,
}

struct CertificateFiles {
    roots: PathBuf,
    /// The chain and the key of the client certificate.
    client: Option<(PathBuf, SecretSource)>,
    sources: Arc<SourceContext>,
    used: Mutex<UsedCertificates>,
    trouble: Mutex<RepeatedError>,
}

#[derive(Clone)]
struct UsedCertificates {
    roots: Arc<RootCertStore>,
    /// Empty without a client certificate.
    chain: Vec<CertificateDer<'static>>,
    tls: EtcdTls,
}

/// The password in use, and where the next one is read.
pub(crate) struct EtcdPassword {
    file: Arc<PasswordFile>,
    reading: Reading,
}

struct PasswordFile {
    source: SecretSource,
    sources: Arc<SourceContext>,
    used: Mutex<Arc<SecretBytes>>,
    trouble: Mutex<RepeatedError>,
}

/// At most one reading at a time.
#[derive(Default)]
struct Reading(tokio::sync::Mutex<JoinSet<()>>);

impl EtcdCertificates {
    /// Reads them for the first time; `None` without TLS.
    pub(crate) async fn open(etcd: &EtcdSection, platform: &Platform) -> Result<Option<Self>, ProcessError> {
        let Some(roots) = etcd.roots.clone() else { return Ok(None) };
        let client = etcd.client_certificate.clone();
        let sources = Arc::clone(&platform.sources);
        let read = read_certificates(&roots, client.as_ref()).await.map_err(ProcessError::EtcdCertificates)?;
        let used = Mutex::new(with_key(read, client.as_ref(), &sources).await?);
        let files = Arc::new(CertificateFiles { roots, client, sources, used, trouble: Mutex::default() });
        Ok(Some(Self { files, reading: Reading::default() }))
    }
}

#[async_trait]
impl TlsSource for EtcdCertificates {
    async fn current(&self) -> EtcdTls {
        let files = Arc::clone(&self.files);
        self.reading.run(async move { files.read_again().await }).await;
        self.files.warn_of_validity();
        self.files.used.lock_unpoisoned().tls.clone()
    }
}

impl CertificateFiles {
    async fn read_again(&self) {
        match self.read_changed().await {
            Ok(None) => {}
            Ok(Some(used)) => {
                *self.used.lock_unpoisoned() = used;
                self.trouble.lock_unpoisoned().clear();
                tracing::info!("the certificates for etcd were replaced");
            }
            Err(error) => {
                let error = in_one_line(&error);
                if self.trouble.lock_unpoisoned().is_new(&error) {
                    tracing::warn!(
                        error,
                        "the files of the certificates for etcd cannot be used; those before stay in use"
                    );
                }
            }
        }
    }

    /// What is to be used from now on, if it is something else. The key is read only then: a certificate and its key are
    /// replaced together.
    async fn read_changed(&self) -> Result<Option<UsedCertificates>, ProcessError> {
        let read =
            read_certificates(&self.roots, self.client.as_ref()).await.map_err(ProcessError::EtcdCertificates)?;
        let used = self.used.lock_unpoisoned().clone();
        if read.0.roots == used.roots.roots && read.1 == used.chain {
            return Ok(None);
        }
        with_key(read, self.client.as_ref(), &self.sources).await.map(Some)
    }

    fn warn_of_validity(&self) {
        let chain = self.used.lock_unpoisoned().chain.clone();
        if let Err(why) = check_validity(&chain, SystemClock::wall())
            && self.trouble.lock_unpoisoned().is_new(&why.to_string())
        {
            tracing::warn!("the client certificate for etcd {why}");
        }
    }
}

impl EtcdPassword {
    /// Reads it for the first time.
    pub(crate) async fn open(source: &SecretSource, platform: &Platform) -> Result<Self, ProcessError> {
        let sources = Arc::clone(&platform.sources);
        let used = Mutex::new(read_password(source, &sources).await?);
        let file = Arc::new(PasswordFile { source: source.clone(), sources, used, trouble: Mutex::default() });
        Ok(Self { file, reading: Reading::default() })
    }
}

#[async_trait]
impl PasswordSource for EtcdPassword {
    fn current(&self) -> Arc<SecretBytes> {
        Arc::clone(&self.file.used.lock_unpoisoned())
    }

    async fn renew(&self) {
        let file = Arc::clone(&self.file);
        self.reading.run(async move { file.read_again().await }).await;
    }
}

impl PasswordFile {
    async fn read_again(&self) {
        match read_password(&self.source, &self.sources).await {
            Ok(password) => *self.used.lock_unpoisoned() = password,
            Err(error) => {
                let error = in_one_line(&error);
                if self.trouble.lock_unpoisoned().is_new(&error) {
                    tracing::warn!(error, "reading the password for etcd again failed; the one before stays in use");
                }
            }
        }
    }
}

impl Reading {
    /// Runs a reading, or joins the one that runs, and waits a little for its end. The reading goes on when its caller goes away.
    async fn run(&self, reading: impl Future<Output = ()> + Send + 'static) {
        let wait = async {
            let mut running = self.0.lock().await;
            if running.is_empty() {
                running.spawn(reading);
            }
            running.join_next().await;
        };
        timeout(PATIENCE, wait).await.ok();
    }
}

/// The roots and the chain of the client certificate.
async fn read_certificates(
    roots: &Path,
    client: Option<&(PathBuf, SecretSource)>,
) -> Result<(Arc<RootCertStore>, Vec<CertificateDer<'static>>), CertificatesError> {
    let (roots, chain) = (roots.to_owned(), client.map(|(chain, _)| chain.clone()));
    blocking(move || {
        let chain = chain.map_or_else(|| Ok(Vec::new()), |chain| deputy_tls::certificates(&chain))?;
        Ok((deputy_tls::roots(Some(&roots))?, chain))
    })
    .await
}

async fn with_key(
    (roots, chain): (Arc<RootCertStore>, Vec<CertificateDer<'static>>),
    client: Option<&(PathBuf, SecretSource)>,
    sources: &SourceContext,
) -> Result<UsedCertificates, ProcessError> {
    let identity = match client {
        None => None,
        Some((_, key)) => {
            let key = read(key, ValueShape::bytes(MAX_KEY), sources).await;
            let key =
                key.map_err(|source| ProcessError::EtcdSource { setting: "the key of `client-certificate`", source })?;
            Some(deputy_tls::identity(chain.clone(), &key).map_err(ProcessError::EtcdKey)?)
        }
    };
    let tls = EtcdTls::new(Arc::clone(&roots), identity).map_err(ProcessError::EtcdTls)?;
    Ok(UsedCertificates { roots, chain, tls })
}

async fn read_password(source: &SecretSource, sources: &SourceContext) -> Result<Arc<SecretBytes>, ProcessError> {
    let password = read(source, ValueShape::text(MAX_PASSWORD), sources).await;
    password.map(Arc::new).map_err(|source| ProcessError::EtcdSource { setting: "`password`", source })
}
