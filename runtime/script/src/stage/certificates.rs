//! The certificates of scripted servers, of an authority that lives as long as the stage.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::NamedTempFile;

use crate::file::Certificate;
use crate::script_error::ScriptError;

/// An authority that the component's grant trusts, and one that it does not.
pub(super) struct Certificates {
    trusted: Authority,
    untrusted: Authority,
    file: NamedTempFile,
}

struct Authority(Issuer<'static, KeyPair>);

impl Certificates {
    pub(super) fn new() -> Result<Self, ScriptError> {
        let (trusted, pem) = Authority::new()?;
        let (untrusted, _) = Authority::new()?;
        let mut file = NamedTempFile::new().map_err(ScriptError::Servers)?;
        file.write_all(pem.as_bytes()).map_err(ScriptError::Servers)?;
        Ok(Self { trusted, untrusted, file })
    }

    pub(super) fn authority(&self) -> &Path {
        self.file.path()
    }

    /// The configuration of a server with a certificate for a host.
    pub(super) fn server(&self, host: &str, certificate: Certificate) -> Result<Arc<ServerConfig>, ScriptError> {
        let name = match certificate {
            Certificate::WrongName => "another.test",
            Certificate::Trusted | Certificate::Untrusted | Certificate::Expired => host.trim_matches(['[', ']']),
        };
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        if certificate == Certificate::Expired {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let authority = if certificate == Certificate::Untrusted { &self.untrusted } else { &self.trusted };
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &authority.0)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![signed.der().clone()], key))
            .map_err(|error| ScriptError::Servers(std::io::Error::other(error)))?;
        Ok(Arc::new(config))
    }
}

impl Authority {
    fn new() -> Result<(Self, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key)?.pem();
        Ok((Self(Issuer::new(params, key)), pem))
    }
}
