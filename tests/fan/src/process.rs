//! What a process may have, and what it used.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// Has this process open as many files as the system allows, since each worker is one, and says how many.
pub(crate) fn raise_files() -> Result<u64> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    Ok(most.unwrap_or(u64::MAX))
}

/// A clock that all processes of this machine share, in microseconds.
pub(crate) fn clock() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

/// Time on a processor that all threads of this process had, in nanoseconds. None of them has ended.
pub(crate) fn cpu() -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(sum)
}

/// Memory of this process that is backed by no file, in bytes.
pub(crate) fn anonymous() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")?.trim().strip_suffix("kB"));
    Ok(line.ok_or("no Anonymous in smaps_rollup")?.trim().parse::<u64>()? * 1024)
}
