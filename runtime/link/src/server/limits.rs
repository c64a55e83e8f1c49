//! Limits on connections.

use deputy_core::Span;

#[derive(Debug, Clone)]
pub struct ServerLimits {
    pub workers: usize,
    /// Connections besides them that have not authenticated yet. One origin may have half as many.
    pub pending_connections: usize,
    /// Handshakes at once. One origin may have half as many.
    pub handshakes: usize,
    /// Deadline for a TLS handshake, and for an unauthenticated peer's first message. A handshake may queue for half of it.
    pub handshake_timeout: Span,
    /// How often a worker sends `Ping`. Its connection ends after three intervals without a message.
    pub heartbeat: Span,
    /// Deadline for one write.
    pub write_timeout: Span,
    /// Workers that may reconnect in a second after a restart.
    pub reconnects_per_second: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            workers: 50_000,
            pending_connections: 32_000,
            handshakes: 128,
            handshake_timeout: Span::secs(10),
            heartbeat: Span::secs(30),
            write_timeout: Span::secs(30),
            reconnects_per_second: 4000,
        }
    }
}

impl ServerLimits {
    /// Lowers the limits to what a process can have that may open this many files. It leaves some files for the rest of
    /// the process.
    #[must_use]
    pub fn within(self, files: u64) -> Self {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let connections = files.saturating_sub((files / 8).max(256));
        let pending_connections = self.pending_connections.min(connections / 3).max(1);
        let workers = self.workers.min(connections - connections / 3).max(1);
        Self { workers, pending_connections, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_limits_leave_files_for_the_rest_of_the_process() {
        fn within(files: u64) -> (usize, usize) {
            let limits = ServerLimits::default().within(files);
            (limits.workers, limits.pending_connections)
        }
        assert_eq!(within(u64::MAX), (50_000, 32_000));
        for files in [1024, 4096, 65_536] {
            let (workers, pending) = within(files);
            assert!(workers > pending && (workers + pending + 255) as u64 <= files, "{workers} {pending}");
        }
        assert_eq!(within(1024), (512, 256));
        assert_eq!(within(100), (1, 1));
    }
}
