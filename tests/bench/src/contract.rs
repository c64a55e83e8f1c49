//! The contract's types for bare wasmtime, which decodes them whole as the sandbox does.

#![expect(dead_code, reason = "decoded, and most of them not looked at")]

use wasmtime::component::{ComponentType, Lift, Lower};

#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Expiry {
    #[component(name = "unknown")]
    Unknown,
    #[component(name = "never")]
    Never,
    #[component(name = "at")]
    At(u64),
    #[component(name = "after-ms")]
    AfterMs(u64),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Tokens {
    pub(crate) kind: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) expiry: Expiry,
    #[component(name = "next-at")]
    pub(crate) next_at: Option<u64>,
    #[component(name = "renewable-until")]
    pub(crate) renewable_until: Option<u64>,
    pub(crate) handle: Vec<u8>,
    pub(crate) facts: Vec<Fact>,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Next {
    #[component(name = "misconfigured")]
    Misconfigured,
    #[component(name = "denied")]
    Denied,
    #[component(name = "unavailable")]
    Unavailable,
    #[component(name = "throttled")]
    Throttled,
    #[component(name = "ended")]
    Ended,
    #[component(name = "attention")]
    Attention,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Failure {
    pub(crate) next: Next,
    pub(crate) message: String,
    pub(crate) code: Option<String>,
    pub(crate) setting: Option<String>,
    #[component(name = "retry-after-ms")]
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) facts: Vec<Fact>,
}
