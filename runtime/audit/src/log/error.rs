//! Why an event is not recorded.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// An event could not be recorded, or the audit log can't be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// Too many events wait to be written.
    #[error("the audit log is full: {waiting} events wait to be written; see whether its disk or reader is stuck")]
    Full {
        /// Events in the queue.
        waiting: usize,
    },
    /// The file can't be opened.
    #[error("cannot open the audit log {}: give a path in a folder that this user can write to", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The writer did not get to the event in time. It may still be written later.
    #[error("the audit log did not take an event in time: see whether its disk or reader is stuck")]
    Slow,
    /// The writer's thread could not be started, or has ended.
    #[error("the audit log's writer is not running")]
    Stopped,
    /// The file is a pipe that nothing reads.
    #[error("nothing reads the audit log {}, which is a pipe: start its reader", path.display())]
    Unread {
        /// The pipe.
        path: PathBuf,
    },
    /// The system refused to write.
    #[error("cannot write to the audit log: see whether its disk is full or its reader is gone")]
    Write(#[source] Arc<io::Error>),
}
