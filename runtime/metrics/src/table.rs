//! Declares metrics as a table: field, type, name and help of each in one place.

use prometheus_client::metrics::histogram::Histogram;

/// Seconds: from a local answer to the longest call that the default limits allow.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// A struct of metrics with a constructor that registers each of them. A metric without `Default` names its constructor
/// after `=`.
macro_rules! metrics_table {
    ($(#[$meta:meta])* $struct:ident { $($field:ident: $type:ty $(= $new:expr)?, $name:literal, $help:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $struct {
            $(pub(crate) $field: $type,)*
        }

        impl $struct {
            /// The name of each metric, without the prefix.
            #[cfg(test)]
            pub(crate) const NAMES: &'static [&'static str] = &[$($name),*];

            pub(crate) fn register(registry: &mut prometheus_client::registry::Registry) -> Self {
                $(
                    let $field: $type = $crate::table::metrics_table!(@new $($new)?);
                    registry.register($name, $help, $field.clone());
                )*
                Self { $($field,)* }
            }
        }
    };
    (@new) => { Default::default() };
    (@new $new:expr) => { $new };
}

pub(crate) use metrics_table;

pub(crate) fn duration_histogram() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

/// Counts and times as gauges have them.
pub(crate) fn gauge_value(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
