//! PEM (RFC 7468), as far as private keys need it: the one reader of private keys, for signatures and for TLS. The
//! standard parsers keep the decoded key in memory that isn't wiped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

pub enum PrivateKey {
    /// `RSA PRIVATE KEY`
    Pkcs1(Zeroizing<Vec<u8>>),
    /// `PRIVATE KEY`
    Pkcs8(Zeroizing<Vec<u8>>),
    /// `EC PRIVATE KEY`
    Sec1(Zeroizing<Vec<u8>>),
}

/// Why a text holds no private key that can be used. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    #[error("the secret's PEM cannot be decoded: copy the whole key file, from -----BEGIN to -----END")]
    Broken,
    #[error("the secret's key is encrypted, and no passphrase can be provided: {CONVERT}")]
    Encrypted,
    /// No private key among what is there.
    #[error("the secret's PEM holds no private key: a line `-----BEGIN PRIVATE KEY-----` is required")]
    Missing,
    #[error(
        "the secret's key is of an unsupported kind: provide one whose PEM begins with -----BEGIN PRIVATE KEY----- (PKCS#8)"
    )]
    Unknown,
}

const CONVERT: &str = "convert it with `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW`";

/// Reads the first private key; other blocks (EC parameters, certificates) may stand around it.
pub fn private_key(text: &str) -> Result<PrivateKey, PemError> {
    let mut lines = text.lines().map(str::trim);
    let label = (lines.by_ref())
        .filter_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .find(|label| label.ends_with("PRIVATE KEY"))
        .ok_or(PemError::Missing)?;
    let mut body = Zeroizing::new(String::with_capacity(text.len()));
    let mut ended = false;
    for line in lines {
        if line.starts_with("-----END ") {
            ended = true;
            break;
        }
        if line.starts_with("Proc-Type:") && line.contains("ENCRYPTED") {
            return Err(PemError::Encrypted);
        }
        body.push_str(line);
    }
    let pack: fn(Zeroizing<Vec<u8>>) -> PrivateKey = match label {
        "PRIVATE KEY" => PrivateKey::Pkcs8,
        "RSA PRIVATE KEY" => PrivateKey::Pkcs1,
        "EC PRIVATE KEY" => PrivateKey::Sec1,
        "ENCRYPTED PRIVATE KEY" => return Err(PemError::Encrypted),
        _ => return Err(PemError::Unknown),
    };
    if !ended {
        return Err(PemError::Broken);
    }
    // The room is made before anything is decoded: a vector that grows leaves copies behind.
    let mut der = Zeroizing::new(vec![0; body.len()]);
    let length = STANDARD.decode_slice(body.as_bytes(), &mut der).map_err(|_| PemError::Broken)?;
    der.truncate(length);
    Ok(pack(der))
}
