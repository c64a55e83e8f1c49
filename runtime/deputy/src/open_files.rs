//! How many files the process may have open: each worker that is connected is one.

use deputy_link::server::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bounds connections by what the system allows this process, of which it takes all: the soft limit of most systems, 1024,
/// is there for programs that can't count further, and sealing a lease needs a file, too.
pub(crate) fn room(limits: Limits) -> Limits {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = if raised.is_ok() { maximum } else { current };
    let room = limits.clone().within(files.unwrap_or(u64::MAX));
    if room.workers < limits.workers {
        tracing::warn!(
            workers = room.workers,
            "the limit on open files leaves room for so many workers: raise it (`LimitNOFILE` of a service, `ulimit -n`)"
        );
    }
    room
}
