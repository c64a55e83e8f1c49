//! Memory, tables and instances of a call.

use deputy_core::{Limit, Limits};
use wasmtime::ResourceLimiter;

use crate::engine::{MEMORIES, TABLES};

/// A limit was reached. Travels inside wasmtime's error to where the call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the limit `{0}`")]
pub(crate) struct OverLimit(pub(crate) Limit);

/// Counts what the instances of one component take. A component over a limit is ended: to tell it that memory is short
/// would leave it running in a state that nobody tests.
pub(crate) struct Limiter {
    memory: usize,
    used: usize,
    elements: usize,
    instances: usize,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: limits.memory.as_usize(),
            used: 0,
            elements: limits.table_elements as usize,
            instances: limits.instances.min(Limits::MOST_INSTANCES) as usize,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.memory {
            return Err(OverLimit(Limit::Memory).into());
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.elements { Err(OverLimit(Limit::TableElements).into()) } else { Ok(true) }
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances.min(TABLES as usize)
    }

    fn memories(&self) -> usize {
        self.instances.min(MEMORIES as usize)
    }
}
