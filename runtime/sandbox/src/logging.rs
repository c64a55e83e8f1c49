//! The capability `logging`: the host side of the contract's interface.

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::delegation::tokens::logging;
use crate::guest_log::{GuestLog, Level};

impl logging::Host for GuestLog {
    fn log(&mut self, level: logging::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            logging::Level::Debug => Level::Debug,
            logging::Level::Info => Level::Info,
            logging::Level::Warn => Level::Warn,
            logging::Level::Error => Level::Error,
        };
        GuestLog::log(self, level, &message);
        Ok(())
    }
}

/// Adds the interface to a linker.
pub(crate) fn link<T: Send>(linker: &mut Linker<T>, get: fn(&mut T) -> &mut GuestLog) -> wasmtime::Result<()> {
    logging::add_to_linker::<T, HasSelf<GuestLog>>(linker, get)
}
