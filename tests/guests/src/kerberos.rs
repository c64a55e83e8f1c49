//! Uses of Kerberos, each in one line.

pub use crate::bindings::delegation::tokens::kerberos::{Context, KerberosError, principal};

/// Opens a context, and keeps it if there is one.
pub fn open(target: &str) -> Result<Context, String> {
    Context::open(target).map_err(|error| why(&error))
}

/// The name of an error, and its text.
pub fn why(error: &KerberosError) -> String {
    match error {
        KerberosError::Denied(text) => format!("denied {text}"),
        KerberosError::Unavailable(text) => format!("unavailable {text}"),
        KerberosError::Refused(text) => format!("refused {text}"),
        KerberosError::BadToken(text) => format!("bad-token {text}"),
        KerberosError::WrongState => "wrong-state".to_owned(),
    }
}

/// A line for each target that is tried.
pub fn try_all(targets: &[String]) -> Vec<String> {
    targets.iter().map(|target| open(target).map_or_else(|why| why, |_| "opened".to_owned())).collect()
}
