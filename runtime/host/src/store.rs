//! Opens the state where the configuration has it: in the state directory, or in etcd.

use std::path::Path;
use std::sync::Arc;

use deputy_config::EtcdSection;
use deputy_core::{ByteSize, SecretBytes, SecretSource};
use deputy_etcd::{EtcdClient, EtcdLogin, EtcdOptions, EtcdTls};
use deputy_sources::{ValueShape, read};
use deputy_store::{DirectoryStore, EtcdStore, MasterKey, Store};
use deputy_support::blocking;

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
    let store = EtcdStore::open(client, etcd.prefix.clone(), key, random).await;
    Ok(Arc::new(store.map_err(ProcessError::EtcdState)?))
}

pub(crate) async fn client(etcd: &EtcdSection, platform: &Platform) -> Result<EtcdClient, ProcessError> {
    let tls = match &etcd.roots {
        None => None,
        Some(roots) => Some(tls(etcd, roots, platform).await?),
    };
    let login = match &etcd.user {
        None => None,
        Some((user, password)) => {
            let password = value(password, ValueShape::text(MAX_PASSWORD), platform).await?;
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
            let key = value(key, ValueShape::bytes(MAX_KEY), platform).await?;
            let path = chain.clone();
            let chain = blocking(move || deputy_tls::certificates(&path)).await;
            let chain = chain.map_err(ProcessError::EtcdCertificates)?;
            Some(deputy_tls::identity(chain, &key).map_err(ProcessError::EtcdKey)?)
        }
    };
    EtcdTls::new(roots, identity).map_err(ProcessError::EtcdTls)
}

async fn value(source: &SecretSource, shape: ValueShape, platform: &Platform) -> Result<SecretBytes, ProcessError> {
    read(source, shape, &platform.sources).await.map_err(ProcessError::EtcdSource)
}
