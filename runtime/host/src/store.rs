//! Opens the state where the configuration has it: in the state directory, or in etcd.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputy_config::EtcdSection;
use deputy_etcd::{EtcdClient, EtcdLogin, EtcdOptions, TlsSource};
use deputy_store::{DirectoryStore, EtcdStore, MasterKey, Store};
use deputy_support::{SystemClock, blocking};
use deputy_tls::{ValidityError, check_validity};

use crate::error::ProcessError;
use crate::etcd_access::{EtcdCertificates, EtcdPassword};
use crate::platform::Platform;

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
        // An etcd that asks for no certificate does not look at it.
        (Ok(store), _) => Ok(Arc::new(store)),
        (Err(error), Err((chain, why))) if error.is_temporary() => {
            Err(ProcessError::EtcdClientCertificate { chain, why, source: Some(error) })
        }
        (Err(error), _) => Err(ProcessError::EtcdState(error)),
    }
}

/// Whether the client certificate is valid now, if there is one.
async fn client_certificate_validity(etcd: &EtcdSection) -> Result<Result<(), (PathBuf, ValidityError)>, ProcessError> {
    let Some((path, _)) = &etcd.client_certificate else { return Ok(Ok(())) };
    let file = path.clone();
    let chain = blocking(move || deputy_tls::certificates(&file)).await.map_err(ProcessError::EtcdCertificates)?;
    Ok(check_validity(&chain, SystemClock::wall()).map_err(|why| (path.clone(), why)))
}

/// Fails if the client certificate is not valid now.
pub(crate) async fn check_client_certificate(etcd: &EtcdSection) -> Result<(), ProcessError> {
    let validity = client_certificate_validity(etcd).await?;
    validity.map_err(|(chain, why)| ProcessError::EtcdClientCertificate { chain, why, source: None })
}

pub(crate) async fn client(etcd: &EtcdSection, platform: &Platform) -> Result<EtcdClient, ProcessError> {
    let tls = EtcdCertificates::open(etcd, platform).await?;
    let tls = tls.map(|certificates| Arc::new(certificates) as Arc<dyn TlsSource>);
    let login = match &etcd.user {
        None => None,
        Some((user, password)) => {
            let password = Box::new(EtcdPassword::open(password, platform).await?);
            Some(EtcdLogin { user: user.clone(), password })
        }
    };
    Ok(EtcdClient::new(EtcdOptions { endpoints: etcd.endpoints.clone(), tls, login }))
}
