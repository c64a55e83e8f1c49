//! What one call may use. Each limit has a default that serves providers in all five languages.

mod overrides;
mod table;

use std::fmt;
use std::ops::RangeInclusive;

pub use self::overrides::{LimitError, LimitOverrides};

use crate::{ByteSize, Span, limit_table};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SECOND: u64 = 1000;
const HOUR: u64 = 3_600_000;

/// How much a limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitValue {
    /// A number of things.
    Count(u32),
    /// A number of bytes.
    Size(ByteSize),
    /// A length of time.
    Time(Span),
}

/// A type of limits.
trait LimitType: Copy {
    /// Saturates. No bound is as great as that.
    fn from_number(number: u64) -> Self;
    fn value(self) -> LimitValue;
}

impl LimitType for u32 {
    fn from_number(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }

    fn value(self) -> LimitValue {
        LimitValue::Count(self)
    }
}

impl LimitType for ByteSize {
    fn from_number(number: u64) -> Self {
        Self::bytes(number)
    }

    fn value(self) -> LimitValue {
        LimitValue::Size(self)
    }
}

impl LimitType for Span {
    fn from_number(number: u64) -> Self {
        Self::millis(number)
    }

    fn value(self) -> LimitValue {
        LimitValue::Time(self)
    }
}

macro_rules! define_limits {
    ($($doc:literal $variant:ident $field:ident $key:literal $wire:ident: $type:ty = $default:expr, $bounds:expr;)+) => {
        /// The limits of one call.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $doc] pub $field: $type,)+
        }

        /// The name of a limit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Limit {
            $(#[doc = concat!("[`Limits::", stringify!($field), "`]")] $variant,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: LimitType::from_number($default),)+ }
            }
        }

        impl Limits {
            /// The value of one limit.
            pub fn value(&self, limit: Limit) -> LimitValue {
                match limit {
                    $(Limit::$variant => self.$field.value(),)+
                }
            }

            /// Sets one limit to a number as in [`LimitValue::number`].
            fn set(&mut self, limit: Limit, number: u64) {
                match limit {
                    $(Limit::$variant => self.$field = LimitType::from_number(number),)+
                }
            }
        }

        impl Limit {
            /// All of them, in the order of their keys.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The key under `[instances.NAME.limits]`.
            pub const fn key(self) -> &'static str {
                match self {
                    $(Self::$variant => $key,)+
                }
            }

            /// The least and the greatest value, as in [`LimitValue::number`].
            pub const fn bounds(self) -> RangeInclusive<u64> {
                match self {
                    $(Self::$variant => $bounds,)+
                }
            }
        }
    };
}

limit_table!(define_limits);

impl Limits {
    /// The greatest `instances`: this one and the next three are what the engine has room for.
    pub const MAX_INSTANCES: u32 = Limit::Instances.maximum() as u32;
    /// The greatest `memory`.
    pub const MAX_MEMORY: ByteSize = ByteSize::bytes(Limit::Memory.maximum());
    /// The greatest `payload`.
    pub const MAX_PAYLOAD: ByteSize = ByteSize::bytes(Limit::Payload.maximum());
    /// The greatest `table-elements`.
    pub const MAX_TABLE_ELEMENTS: u32 = Limit::TableElements.maximum() as u32;

    /// The value of one limit as the configuration writes it.
    pub fn toml_value(&self, limit: Limit) -> String {
        match self.value(limit) {
            LimitValue::Count(count) => count.to_string(),
            LimitValue::Size(size) => format!("\"{size}\""),
            LimitValue::Time(time) => format!("\"{time}\""),
        }
    }
}

impl Limit {
    /// The limit of this key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.key() == key)
    }

    /// The greatest value, as in [`LimitValue::number`].
    pub const fn maximum(self) -> u64 {
        *self.bounds().end()
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl LimitValue {
    /// As a number: a count as it is, a size in bytes, a time in milliseconds.
    pub fn number(self) -> u64 {
        match self {
            Self::Count(count) => count.into(),
            Self::Size(size) => size.as_u64(),
            Self::Time(time) => time.as_millis(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_print_as_configuration_lines() {
        let lines = Limit::ALL.map(|limit| format!("{limit} = {}", Limits::default().toml_value(limit)));
        let expected = [
            "argument = \"4MiB\"",
            "between-bytes = \"10s\"",
            "connect = \"5s\"",
            "cpu = \"10s\"",
            "exchange = \"30s\"",
            "first-byte = \"15s\"",
            "handles = 256",
            "headers = \"32KiB\"",
            "instances = 64",
            "kerberos-bytes = \"16MiB\"",
            "kerberos-contexts = 16",
            "log-bytes = \"64KiB\"",
            "log-lines = 200",
            "memory = \"64MiB\"",
            "output-bytes = \"4MiB\"",
            "output-files = 64",
            "payload = \"1MiB\"",
            "received = \"16MiB\"",
            "requests = 16",
            "response = \"4MiB\"",
            "secret-operations = 64",
            "sent = \"4MiB\"",
            "state = \"64KiB\"",
            "state-operations = 16",
            "table-elements = 100000",
            "tls = \"5s\"",
            "url = \"8KiB\"",
            "wall = \"1m\"",
        ];
        assert_eq!(lines, expected);
        assert!(Limit::ALL.iter().all(|limit| limit.key() == limit.to_string()));
    }

    #[test]
    fn limits_have_keys_after_their_fields_in_order() {
        macro_rules! fields {
            ($($doc:literal $variant:ident $field:ident $key:literal $wire:ident: $type:ty = $default:expr, $bounds:expr;)+) => {
                [$((stringify!($field), $key, stringify!($wire))),+]
            };
        }
        let rows = limit_table!(fields);
        assert!(rows.is_sorted());
        for (field, key, wire) in rows {
            assert_eq!(key, field.replace('_', "-"));
            assert!(wire.starts_with(field), "{wire}");
        }
    }

    #[test]
    fn limits_have_defaults_within_their_bounds() {
        for limit in Limit::ALL {
            let default = Limits::default().value(limit).number();
            assert!(limit.bounds().contains(&default) && *limit.bounds().start() > 0, "{limit}");
        }
    }

    #[test]
    fn limits_have_maxima_that_fit_the_engine() {
        let engine = [Limit::Instances, Limit::Memory, Limit::Payload, Limit::TableElements];
        assert_eq!(engine.map(Limit::maximum), [64, 1 << 30, 2 << 20, 100_000]);
    }
}
