//! The Unix socket on which a process takes commands.

use std::path::Path;

use deputy_http_server::HttpListener;
use deputy_local::SocketFile;

use crate::error::ProcessError;

/// Listens there. `key` names the configuration that chooses the path, for the error.
pub(crate) fn listen(path: &Path, mode: u32, key: &'static str) -> Result<(HttpListener, SocketFile), ProcessError> {
    let (listener, file) = SocketFile::listen(path, mode).map_err(|source| ProcessError::ControlSocket {
        path: path.to_owned(),
        key,
        source,
    })?;
    Ok((HttpListener::Unix(listener), file))
}
