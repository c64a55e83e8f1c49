//! Principals that several servers and clients of a realm share, and tickets for them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::{Error, Kdc};

/// Servers that start at the same time want the same principals.
static ADDING: Mutex<()> = Mutex::new(());

impl Kdc {
    /// The keytab of a principal, which is added with the first call.
    ///
    /// # Errors
    /// When it cannot be added.
    pub fn keytab(&self, principal: &str) -> Result<PathBuf, Error> {
        let _turn = ADDING.lock().unwrap_or_else(PoisonError::into_inner);
        let keytab = self.krb5_conf().with_file_name(format!("{}.keytab", principal.replace('/', ".")));
        match keytab.is_file() {
            true => Ok(keytab),
            false => self.add(principal),
        }
    }

    /// The principal with its realm.
    #[must_use]
    pub fn full(&self, principal: &str) -> String {
        format!("{principal}@{}", self.realm())
    }

    /// Logs a principal in with its keytab, by `kinit`, and returns the ticket cache.
    ///
    /// # Errors
    /// When it has no keytab, or the KDC gives no ticket.
    pub fn ticket(&self, principal: &str) -> Result<PathBuf, Error> {
        let keytab = self.keytab(principal)?;
        let cache = keytab.with_extension("ticket");
        let mut kinit = Command::new("kinit");
        kinit.arg("-k").arg("-t").arg(&keytab).arg("-c").arg(&cache).arg(principal);
        let kinit = kinit.env("KRB5_CONFIG", self.krb5_conf()).stdin(Stdio::null());
        let output = kinit.output().map_err(|error| Error::new(format!("starting kinit: {error}")))?;
        match output.status.success() {
            true => Ok(cache),
            false => Err(Error::new(format!("kinit {principal}: {}", String::from_utf8_lossy(&output.stderr)))),
        }
    }
}
