//! One configured instance: which component, with which settings, grants, secrets and limits; or which file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::grant::Grant;
use crate::{ComponentRef, InstanceName, Limits, SecretName, Span};

/// One configured instance of a component. Paths are absolute or relative to the process; the configuration has resolved its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub name: InstanceName,
    pub component: ComponentRef,
    /// The SHA-256 that the component's file must have.
    pub sha256: Option<Digest>,
    /// The component's arguments. No secrets.
    pub settings: BTreeMap<String, String>,
    /// What the component may do.
    pub grant: Grant,
    /// Where the values of its secrets are.
    pub sources: BTreeMap<SecretName, SecretSource>,
    /// What a call may use.
    pub limits: Limits,
}

/// A payload file that another program maintains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    pub path: PathBuf,
    /// For how long what it holds is good, from when the file was last written.
    pub lifetime: Span,
}

/// Where a secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The standard output of a program, called without a shell.
    Command(Vec<String>),
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// An environment variable of this process.
    Environment(String),
    /// A file that only its owner can read.
    File(PathBuf),
}

impl SecretSource {
    /// The kind, as the configuration's key.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Credential(_) => "credential",
            Self::Environment(_) => "env",
            Self::File(_) => "file",
        }
    }
}

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text is not a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256: write 64 lower-case hexadecimal digits, as `sha256sum` prints them")]
pub struct DigestError;

impl Digest {
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        let digits: Vec<u8> =
            text.chars().map_while(|c| c.to_digit(16).filter(|_| !c.is_ascii_uppercase())).map(|d| d as u8).collect();
        if text.len() != 64 || digits.len() != 64 {
            return Err(DigestError);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_source_is_named_by_its_configuration_key() {
        for (source, kind) in [
            (SecretSource::Command(Vec::new()), "command"),
            (SecretSource::Credential(String::new()), "credential"),
            (SecretSource::Environment(String::new()), "env"),
            (SecretSource::File(PathBuf::new()), "file"),
        ] {
            assert_eq!(source.kind(), kind);
        }
    }

    #[test]
    fn digest_survives_the_round_trip() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
    }

    #[test]
    fn digest_in_another_form_is_rejected() {
        let good = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [
            String::new(),
            good.to_uppercase(),
            good.replace('e', "g"),
            format!("{good}0"),
            "é".repeat(32),
            format!("sha256:{good}"),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError), "{text}");
        }
    }
}
