//! Why an audit event is not recorded.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    #[error("the audit log is full: {waiting} events wait to be written; check whether its disk or reader is stuck")]
    Full { waiting: usize },
    #[error("cannot open the audit log {}: choose a directory that this user can write to", path.display())]
    Open { path: PathBuf, source: Arc<io::Error> },
    /// The writer did not get to the event in time. It may still be written later.
    #[error("the audit log did not take an event in time; check whether its disk or reader is stuck")]
    Slow,
    /// The writer's thread has not started, or has ended.
    #[error("the audit log's writer is not running")]
    Stopped,
    /// The file is a pipe without a reader.
    #[error("nothing reads the audit log {}, which is a pipe: start its reader", path.display())]
    Unread { path: PathBuf },
    #[error("cannot write to the audit log; check whether its disk is full or its reader has gone")]
    Write(#[source] Arc<io::Error>),
}
