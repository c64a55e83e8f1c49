//! Options of a socket. They are checked and remembered, and have no effect: keep-alives and hop limits matter for longer
//! than a call lasts, and the memory of buffers is the host's.

use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// The options that a component set, or the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SocketOptions {
    pub(super) keep_alive: bool,
    pub(super) keep_alive_idle: u64,
    pub(super) keep_alive_interval: u64,
    pub(super) keep_alive_count: u32,
    pub(super) hop_limit: u8,
    pub(super) receive_buffer: u64,
    pub(super) send_buffer: u64,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            keep_alive: false,
            keep_alive_idle: 7_200_000_000_000,
            keep_alive_interval: 75_000_000_000,
            keep_alive_count: 9,
            hop_limit: 64,
            receive_buffer: 64 * 1024,
            send_buffer: 64 * 1024,
        }
    }
}

/// Sets an option that must not be zero.
pub(super) fn set<N: Default + PartialEq>(option: &mut N, value: N) -> Result<(), ErrorCode> {
    if value == N::default() {
        return Err(ErrorCode::InvalidArgument);
    }
    *option = value;
    Ok(())
}
