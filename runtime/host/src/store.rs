//! Opens the state where the configuration has it: in the state directory, or in etcd.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_config::EtcdSection;
use deputy_core::{ByteSize, SecretBytes, SecretSource};
use deputy_etcd::{EtcdClient, EtcdLogin, EtcdOptions, EtcdTls};
use deputy_sources::{ValueShape, read};
use deputy_store::{DirectoryStore, EtcdStore, MasterKey, Store};
use deputy_support::{SystemClock, blocking};
use deputy_tls::{ValidityError, check_validity};
use rustls::pki_types::CertificateDer;

use crate::error::ProcessError;
use crate::platform::Platform;

/// The largest key in PEM.
const MAX_KEY: ByteSize = ByteSize::kib(64);

const MAX_PASSWORD: ByteSize = ByteSize::kib(4);

pub(crate) async fn open(
    etcd: Option<&EtcdSection>,
    state_dir: &Path,
    key: MasterKey,
    platform: &Platform,
) -> Result<Arc<dyn Store>, ProcessError> {
    let random = Arc::clone(&platform.random);
    let Some(etcd) = etcd else {
        let store = DirectoryStore::open(state_dir, key, random).await;
        return Ok(Arc::new(store.map_err(ProcessError::State)?));
    };
    let client = client(etcd, platform).await?;
    let validity = client_certificate_validity(etcd).await?;
    match (EtcdStore::open(client, etcd.prefix.clone(), key, random).await, validity) {
        (Ok(store), validity) => {
            // An etcd that asks for no certificate does not look at it.
            if let Err((_, why)) = validity {
                tracing::warn!("the client certificate for etcd {why}");
            }
            Ok(Arc::new(store))
        }
        (Err(error), Err((chain, why))) if error.is_temporary() => {
            Err(ProcessError::EtcdClientCertificate { chain, why, source: Some(error) })
        }
        (Err(error), _) => Err(ProcessError::EtcdState(error)),
    }
}

/// Whether the client certificate is valid now, if there is one.
async fn client_certificate_validity(etcd: &EtcdSection) -> Result<Result<(), (PathBuf, ValidityError)>, ProcessError> {
    let Some((path, _)) = &etcd.client_certificate else { return Ok(Ok(())) };
    let chain = read_chain(path).await?;
    Ok(check_validity(&chain, SystemClock::wall()).map_err(|why| (path.clone(), why)))
}

/// Fails if the client certificate is not valid now.
pub(crate) async fn check_client_certificate(etcd: &EtcdSection) -> Result<(), ProcessError> {
    let validity = client_certificate_validity(etcd).await?;
    validity.map_err(|(chain, why)| ProcessError::EtcdClientCertificate { chain, why, source: None })
}

async fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, ProcessError> {
    let path = path.to_owned();
    blocking(move || deputy_tls::certificates(&path)).await.map_err(ProcessError::EtcdCertificates)
}

pub(crate) async fn client(etcd: &EtcdSection, platform: &Platform) -> Result<EtcdClient, ProcessError> {
    let tls = match &etcd.roots {
        None => None,
        Some(roots) => Some(tls(etcd, roots, platform).await?),
    };
    let login = match &etcd.user {
        None => None,
        Some((user, password)) => {
            let password = value("`password`", password, ValueShape::text(MAX_PASSWORD), platform).await?;
            Some(EtcdLogin { user: user.clone(), password })
        }
    };
    Ok(EtcdClient::new(EtcdOptions { endpoints: etcd.endpoints.clone(), tls, login }))
}

async fn tls(etcd: &EtcdSection, roots: &Path, platform: &Platform) -> Result<EtcdTls, ProcessError> {
    let path = roots.to_owned();
    let roots = blocking(move || deputy_tls::roots(Some(&path))).await.map_err(ProcessError::EtcdCertificates)?;
    let identity = match &etcd.client_certificate {
        None => None,
        Some((chain, key)) => {
            let key = value("the key of `client-certificate`", key, ValueShape::bytes(MAX_KEY), platform).await?;
            Some(deputy_tls::identity(read_chain(chain).await?, &key).map_err(ProcessError::EtcdKey)?)
        }
    };
    EtcdTls::new(roots, identity).map_err(ProcessError::EtcdTls)
}

async fn value(
    setting: &'static str,
    source: &SecretSource,
    shape: ValueShape,
    platform: &Platform,
) -> Result<SecretBytes, ProcessError> {
    let value = read(source, shape, &platform.sources).await;
    value.map_err(|source| ProcessError::EtcdSource { setting, source })
}
