//! Why a process cannot start, or a command on its state cannot do its work.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use deputy_audit::AuditError;
use deputy_coordinator::{
    BackupError, ConfigurationNamesError, CoordinatorError, LockLostError, StateCopyError, WorkersError,
};
use deputy_core::ReceiverName;
use deputy_sandbox::{LoadError, SandboxError};
use deputy_sources::SourceError;
use deputy_store::{ArchiveError, MasterKeyError, StoreError, StoreKeyError};
use deputy_tls::{CertificatesError, KeyError, ValidityError};
use deputy_traces::CollectorError;
use deputy_worker::cache::LeaseCacheError;
use deputy_worker::components::ComponentError;
use deputy_worker::endpoint::EndpointTokenError;
use deputy_worker::unit::AccessError;

use crate::enrolment_failure::EnrolmentFailure;
use crate::health_tls::HealthTlsError;

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("cannot use the backup")]
    Archive(#[source] ArchiveError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("cannot listen for AWS SDKs at {address}")]
    AwsEndpoint { address: SocketAddr, source: io::Error },
    #[error("cannot read the state")]
    Backup(#[source] BackupError),
    #[error("cannot open the directory of receivers' components")]
    ComponentStore(#[source] ComponentError),
    #[error("cannot listen for commands at {}", path.display())]
    ControlSocket {
        path: PathBuf,
        /// The configuration that chooses the path.
        key: &'static str,
        source: io::Error,
    },
    #[error("cannot copy the state")]
    Copy(#[source] StateCopyError),
    #[error("cannot copy the state: its lock cannot be taken; stop every coordinator that uses it first")]
    CopyLock(#[source] StoreError),
    #[error("cannot start the coordinator")]
    Coordinator(#[source] CoordinatorError),
    #[error(transparent)]
    Enrolment(#[from] EnrolmentFailure),
    #[error("cannot use the certificates for etcd: see `roots` and `client-certificate` in [coordinator.store]")]
    EtcdCertificates(#[source] CertificatesError),
    #[error("the client certificate for etcd {why}")]
    EtcdClientCertificate {
        chain: PathBuf,
        why: ValidityError,
        /// What etcd made of it, if it was asked.
        source: Option<StoreError>,
    },
    #[error("the key of the client certificate for etcd cannot be used, or is another certificate's")]
    EtcdKey(#[source] KeyError),
    #[error("cannot read {setting} in [coordinator.store]")]
    EtcdSource { setting: &'static str, source: SourceError },
    #[error("cannot open the state in etcd")]
    EtcdState(#[source] StoreError),
    #[error("TLS to etcd cannot be set up")]
    EtcdTls(#[source] rustls::Error),
    #[error("cannot use the token file of an AWS endpoint")]
    EndpointToken(#[source] EndpointTokenError),
    #[error("cannot listen for health checks and metrics at {address}")]
    Health {
        address: SocketAddr,
        /// The configuration that chooses the address.
        key: &'static str,
        source: io::Error,
    },
    #[error("cannot use the certificate of the health port: see `health-tls` in [coordinator]")]
    HealthTls(#[source] HealthTlsError),
    #[error("cannot use the cache of leases in the state directory")]
    LeaseCache(#[source] LeaseCacheError),
    #[error(transparent)]
    LockLost(#[from] LockLostError),
    #[error("cannot read the master key")]
    MasterKey(#[source] MasterKeyError),
    #[error("the key is not in the state directory: name the new one")]
    NewKeyUnnamed,
    #[error("the configuration has no etcd: write `store` into [coordinator] first")]
    NoEtcd,
    #[error("cannot read the names of the previous configuration")]
    PreviousConfiguration(#[source] ConfigurationNamesError),
    #[error("the system's random number generator failed")]
    Random,
    #[error("cannot use the component of the receiver {name}")]
    ReceiverComponent { name: ReceiverName, source: Box<LoadError> },
    #[error(transparent)]
    ReceiverAccess(#[from] AccessError),
    #[error("cannot change the key of the state")]
    Rekey(#[source] StoreError),
    #[error(
        "a state in etcd cannot be sealed with another key in place: run `deputy state copy etcd`, remove `store` from \
         [coordinator], run `deputy state rekey --new-key FILE` and configure that key, write `store` again with another \
         `prefix`, and run `deputy state copy directory`"
    )]
    RekeyEtcd,
    #[error("nothing was restored")]
    Restore(#[source] BackupError),
    #[error("cannot restore while a coordinator runs")]
    RestoreLock(#[source] StoreError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("cannot open the state directory")]
    State(#[source] StoreError),
    #[error(transparent)]
    StoreKey(#[from] StoreKeyError),
    #[error("cannot send traces")]
    Traces(#[source] CollectorError),
    #[error("{} looks truncated: {lost}", config.display())]
    Truncated { config: PathBuf, lost: String },
    #[error("cannot serve workers")]
    Workers(#[source] WorkersError),
}
