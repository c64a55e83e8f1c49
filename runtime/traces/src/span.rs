//! A span that has begun.

use std::fmt;

use deputy_core::{TraceContext, excerpt};
use deputy_support::wall_nanos;

use crate::message::{AnyValueKind, SpanKind};
use crate::span_data::SpanData;
use crate::tracer::Tracer;

/// The longest text of a span, in bytes.
const MAX_TEXT: usize = 256;

/// Attributes of one span; more are left out.
const MAX_ATTRIBUTES: usize = 16;

/// Ends, and is sent, when it is dropped. Empty if nothing is traced.
#[derive(Default)]
pub struct OpenSpan(Option<Box<(SpanData, Tracer)>>);

impl OpenSpan {
    /// A span that is not sent.
    pub fn none() -> Self {
        Self(None)
    }

    pub(crate) fn new(tracer: Tracer, data: SpanData) -> Self {
        Self(Some(Box::new((data, tracer))))
    }

    /// Whether nothing is traced.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// What a child elsewhere names as its parent.
    pub fn context(&self) -> Option<TraceContext> {
        self.data().map(|data| data.context)
    }

    /// Begins a part of this span.
    #[must_use]
    pub fn child(&self, name: &'static str) -> Self {
        match &self.0 {
            Some(open) => open.1.child(open.0.context, name),
            None => Self::none(),
        }
    }

    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.change(|data| data.kind = kind);
        self
    }

    /// A span that began at another time, in nanoseconds since 1970.
    #[must_use]
    pub fn since(mut self, began: u64) -> Self {
        self.change(|data| data.began = began);
        self
    }

    /// When it began, in nanoseconds since 1970.
    pub fn began(&self) -> u64 {
        self.data().map_or(0, |data| data.began)
    }

    /// Adds a text. Not for a text that a component or a server wrote.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: &dyn fmt::Display) -> Self {
        self.set(key, value);
        self
    }

    /// The same, later.
    pub fn set(&mut self, key: &'static str, value: &dyn fmt::Display) {
        if self.0.is_some() {
            self.add(key, AnyValueKind::StringValue(excerpt(&value.to_string(), MAX_TEXT)));
        }
    }

    pub fn set_number(&mut self, key: &'static str, value: u64) {
        self.add(key, AnyValueKind::IntValue(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    /// Marks it as failed, with a word for the reason.
    pub fn fail(&mut self, reason: &str) {
        self.change(|data| data.failure = Some(excerpt(reason, MAX_TEXT)));
    }

    /// Takes the failure back: another attempt succeeded.
    pub fn succeed(&mut self) {
        self.change(|data| data.failure = None);
    }

    /// Ends it now.
    pub fn end(self) {
        drop(self);
    }

    /// Ends it as of another time, in nanoseconds since 1970.
    pub fn end_at(mut self, ended: u64) {
        self.change(|data| data.ended = ended);
    }

    fn add(&mut self, key: &'static str, value: AnyValueKind) {
        self.change(|data| {
            if data.attributes.len() < MAX_ATTRIBUTES {
                data.attributes.push((key, value));
            }
        });
    }

    fn data(&self) -> Option<&SpanData> {
        self.0.as_ref().map(|open| &open.0)
    }

    fn change(&mut self, change: impl FnOnce(&mut SpanData)) {
        if let Some(open) = &mut self.0 {
            change(&mut open.0);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let (mut data, tracer) = *open;
            if data.ended == 0 {
                data.ended = wall_nanos();
            }
            tracer.send(data);
        }
    }
}

impl fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenSpan").field(&self.data()).finish()
    }
}
