//! Limits on the memory, tables and instances of a call.

use std::sync::Arc;

use deputy_core::{Limit, Limits};
use wasmtime::ResourceLimiter;

use crate::call_budget::CallBudget;
use crate::engine::{MEMORIES, TABLES};
use crate::over_limit::OverLimit;

/// Counts what the instances of one call use. A call over a limit is ended: a component that sees a failed
/// allocation would go on in a state that its author never tested.
pub(crate) struct Limiter {
    budget: Arc<CallBudget>,
    memory: usize,
    used: usize,
    elements: usize,
    instances: usize,
}

impl Limiter {
    pub(crate) fn new(budget: Arc<CallBudget>) -> Self {
        let limits = budget.limits();
        Self {
            memory: limits.memory.as_usize(),
            used: 0,
            elements: limits.table_elements as usize,
            instances: limits.instances.min(Limits::MAX_INSTANCES) as usize,
            budget,
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
        self.budget.usage.note_memory(used);
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
