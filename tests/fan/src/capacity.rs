//! How many workers fit into the processes of a run: each process has one open file for each of its workers.

use deputy_link::server::ServerLimits;

use crate::Result;

/// What a process with workers has open besides them.
const OTHER_FILES: u64 = 64;

/// Two, so that a run of few workers uses as many threads as one of many.
const MIN_LOADS: usize = 2;

/// What one process may have.
pub(crate) struct Capacity {
    files: u64,
}

/// How the workers are split.
#[derive(Clone, Copy)]
pub(crate) struct Split {
    pub(crate) workers: usize,
    pub(crate) servers: usize,
    /// Processes with workers.
    pub(crate) loads: usize,
}

impl Capacity {
    pub(crate) fn new(files: u64) -> Self {
        Self { files }
    }

    /// As `deputy run` has them.
    pub(crate) fn server_limits(&self) -> ServerLimits {
        ServerLimits::default().within(self.files)
    }

    /// Fails if there are too few processes for the workers.
    pub(crate) fn split(&self, workers: usize, servers: usize, loads: Option<usize>) -> Result<Split> {
        let Self { files } = self;
        if servers > workers {
            return Err(format!("{servers} servers have too few workers in {workers}: each needs at least one").into());
        }
        let per_load = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1);
        let needed = workers.div_ceil(per_load);
        let loads = loads.unwrap_or(needed.max(MIN_LOADS)).max(1);
        let per_server = self.server_limits().workers;
        let split = Split { workers, servers, loads };
        if split.of_server(0) > per_server {
            let fits = |servers: &usize| Split { servers: *servers, ..split }.of_server(0) <= per_server;
            let needed = (servers..=workers).find(fits).unwrap_or(workers);
            return Err(format!(
                "this process may open {files} files: at most {per_server} workers per server, as `deputy run` would \
                 admit; --servers {needed} serves {workers}"
            )
            .into());
        }
        if loads < needed {
            return Err(format!(
                "this process may open {files} files: at most {per_load} workers per process; --loads {needed} has room \
                 for {workers}"
            )
            .into());
        }
        Ok(split)
    }
}

impl Split {
    /// The workers of one process.
    pub(crate) fn of_load(self, number: usize) -> usize {
        (self.workers + number) / self.loads
    }

    /// The workers of one server: those of each process take the servers in turns, so the first has the most.
    pub(crate) fn of_server(self, number: usize) -> usize {
        let Self { servers, loads, .. } = self;
        (0..loads).map(|load| (self.of_load(load) + servers - 1 - number) / servers).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(workers: usize, servers: usize, loads: Option<usize>) -> String {
        Capacity::new(20_000).split(workers, servers, loads).err().unwrap().to_string()
    }

    #[test]
    fn fanout_says_how_many_servers_and_processes_it_needs() {
        let message = error(100_000, 1, None);
        assert!(
            message.starts_with("this process may open 20000 files: at most 11667 workers per server"),
            "{message}"
        );
        assert!(message.ends_with("--servers 9 serves 100000"), "{message}");
        let message = error(100_000, 9, Some(5));
        assert!(message.ends_with("at most 19936 workers per process; --loads 6 has room for 100000"), "{message}");
        assert!(error(1, 2, None).starts_with("2 servers have too few workers in 1"));
    }

    #[test]
    fn fanout_starts_as_many_processes_as_it_needs() {
        let loads = |workers, servers, loads| Capacity::new(20_000).split(workers, servers, loads).unwrap().loads;
        assert_eq!((loads(100_000, 9, None), loads(10_000, 1, None), loads(10, 1, Some(1))), (6, 2, 1));
    }

    #[test]
    fn fanout_gives_each_worker_one_server_and_one_process() {
        for (workers, servers, loads) in [(100_000, 9, 6), (2, 2, 2), (7, 3, 2), (40, 2, 1)] {
            let split = Split { workers, servers, loads };
            assert_eq!((0..loads).map(|number| split.of_load(number)).sum::<usize>(), workers);
            let of_servers: Vec<usize> = (0..servers).map(|number| split.of_server(number)).collect();
            assert_eq!(of_servers.iter().sum::<usize>(), workers, "{of_servers:?}");
            assert_eq!(of_servers.iter().max(), of_servers.first());
        }
        assert_eq!(Split { workers: 7, servers: 2, loads: 1 }.of_server(1), 3);
    }
}
