//! Opens the state where the configuration has it: in the state directory, or in etcd.

use std::io;
use std::path::Path;
use std::sync::Arc;

use deputy_config::EtcdSection;
use deputy_core::{ByteSize, SecretBytes, SecretSource};
use deputy_etcd::{EtcdClient, EtcdLogin, EtcdOptions, EtcdTls};
use deputy_files::{ambient, fill};
use deputy_sources::{ValueShape, read};
use deputy_store::{DirectoryStore, EtcdStore, MasterKey, Store};
use deputy_support::try_blocking;

use crate::error::ProcessError;
use crate::platform::Platform;

/// The largest file of certificates or of a key.
const MAX_PEM: ByteSize = ByteSize::kib(256);

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
    let roots = certificates(roots).await?;
    let identity = match &etcd.client_certificate {
        None => None,
        Some((chain, key)) => {
            Some((certificates(chain).await?, value(key, ValueShape::bytes(MAX_PEM), platform).await?))
        }
    };
    let identity = identity.as_ref().map(|(chain, key)| (chain.as_slice(), key));
    EtcdTls::new(&roots, identity).map_err(ProcessError::EtcdTls)
}

/// A file of certificates, which other users may read.
async fn certificates(path: &Path) -> Result<Vec<u8>, ProcessError> {
    let owned = path.to_owned();
    let bytes = try_blocking(move || read_public(&owned)).await;
    let failed = |source| ProcessError::EtcdCertificates { path: path.to_owned(), source };
    bytes.map_err(failed)?.map_err(failed)
}

fn read_public(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; MAX_PEM.as_usize() + 1];
    let filled = fill(&ambient::open_file(path)?, &mut bytes)?;
    if filled > MAX_PEM.as_usize() {
        return Err(io::Error::other("it is larger than 256 KiB"));
    }
    bytes.truncate(filled);
    Ok(bytes)
}

async fn value(source: &SecretSource, shape: ValueShape, platform: &Platform) -> Result<SecretBytes, ProcessError> {
    read(source, shape, &platform.sources).await.map_err(ProcessError::EtcdSource)
}
