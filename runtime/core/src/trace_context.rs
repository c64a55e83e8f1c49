//! Where a span belongs: W3C Trace Context, as it travels with a lease.

#![deny(missing_docs)]

use std::fmt;
use std::str::FromStr;

/// A span of a trace, as a child names its parent. Only of traces that are kept: what is not sampled has none.
///
/// Its text is a `traceparent` of W3C Trace Context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraceContext {
    /// The trace. Never zero.
    pub trace: u128,
    /// The span. Never zero.
    pub span: u64,
}

/// A text that is no `traceparent` of a sampled trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a `traceparent` of a sampled trace: write \"00-TRACE-SPAN-01\" with 32 and 16 hexadecimal digits")]
pub struct TraceContextError;

/// Of the flags: the trace is kept.
const SAMPLED: u8 = 1;

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

impl FromStr for TraceContext {
    type Err = TraceContextError;

    /// Reads a later version, too, as far as it is like this one: the standard keeps its first parts.
    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits);
            let part = part.filter(|part| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
            u128::from_str_radix(part.ok_or(TraceContextError)?, 16).map_err(|_| TraceContextError)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let span = u64::try_from(span).map_err(|_| TraceContextError)?;
        let is_whole = version != 0xff && (version != 0 || parts.next().is_none());
        let is_sampled = flags & u128::from(SAMPLED) != 0;
        if is_whole && is_sampled && trace != 0 && span != 0 {
            Ok(Self { trace, span })
        } else {
            Err(TraceContextError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn trace_context_survives_the_round_trip() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert_eq!((context.trace >> 120, context.span & 0xff), (0x0a, 0x31));
        assert_eq!(context.to_string(), EXAMPLE);
        let later = EXAMPLE.replacen("00", "01", 1) + "-what-a-later-version-adds";
        assert_eq!(later.parse(), Ok(context));
    }

    #[test]
    fn trace_context_of_another_form_is_refused() {
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let unsampled = EXAMPLE.replace("-01", "-00");
        let upper = EXAMPLE.to_uppercase();
        let more = format!("{EXAMPLE}-00");
        let invalid = EXAMPLE.replacen("00", "ff", 1);
        for text in ["", "00", zero, &unsampled, &upper, &more, &invalid, EXAMPLE.trim_start_matches("00"), "00-\u{e9}"]
        {
            assert_eq!(text.parse::<TraceContext>(), Err(TraceContextError), "{text:?}");
        }
    }
}
