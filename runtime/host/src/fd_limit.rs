//! The limit on open files: a coordinator needs one for each connected worker, a worker a few for each receiver.

use deputy_link::server::ServerLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit, 1024 on most systems for the sake of programs that use `select`, to the hard one. Returns the
/// limit in effect; `None` means that there is none.
pub(crate) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if raised.is_ok() { maximum } else { current }
}

/// Bounds connections by the limit on open files. Sealing a lease needs an open file, too.
pub(crate) fn bound(limits: ServerLimits) -> ServerLimits {
    let files = raise().unwrap_or(u64::MAX);
    let bounded = limits.clone().within(files);
    if bounded.workers < limits.workers {
        tracing::warn!(
            workers = bounded.workers,
            "open-file limit bounds the number of workers; raise it (`LimitNOFILE` of a service, `ulimit -n`)"
        );
    }
    bounded
}
