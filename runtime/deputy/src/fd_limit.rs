//! How many files the process may have open: at a coordinator each worker that is connected is one, at a worker receivers
//! that publish need some each.

use deputy_link::server::ServerLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes all that the system allows this process, and says how much that is; `None` if there is no limit. The soft limit
/// of most systems, 1024, is there for programs that can't count further.
pub(crate) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if raised.is_ok() { maximum } else { current }
}

/// Bounds connections by what the system allows this process: sealing a lease needs a file, too.
pub(crate) fn room(limits: ServerLimits) -> ServerLimits {
    let files = raise();
    let room = limits.clone().within(files.unwrap_or(u64::MAX));
    if room.workers < limits.workers {
        tracing::warn!(
            workers = room.workers,
            "open-file limit bounds the number of workers; raise it (`LimitNOFILE` of a service, `ulimit -n`)"
        );
    }
    room
}
