//! What a worker holds at the time of a scrape.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::labels::{InstanceServiceLabels, ReceiverLabels};
use crate::table::{gauge_value, metrics_table};

#[derive(Debug, Clone, Default)]
pub struct WorkerSnapshot {
    /// 1 or 0.
    pub connected: u8,
    /// Seconds since the last message of the coordinator, if there was one.
    pub contact_age: Option<u64>,
    /// Whether everything for the workload is published: 1 or 0.
    pub ready: u8,
    pub deliveries: Vec<DeliveryMetrics>,
    /// Each receiver with its consecutive failures.
    pub failures: Vec<(String, u32)>,
}

/// The delivery that is held of one instance.
#[derive(Debug, Clone, Default)]
pub struct DeliveryMetrics {
    pub instance: String,
    pub service: String,
    /// Seconds since 1970; `None` if it does not expire.
    pub expiry: Option<u64>,
    /// Seconds since 1970.
    pub obtained: u64,
    pub revision: u64,
    /// The revision, if it is applied.
    pub applied: Option<u64>,
}

metrics_table! {
    HeldDeliveries {
        connected: Gauge, "connected", "Whether the worker is connected to the coordinator";
        contact_age: Gauge, "contact_age_seconds",
            "Time since the last message from the coordinator, or -1 before the first";
        ready: Gauge, "ready", "Whether everything for this worker is published";
        expiry: Family<InstanceServiceLabels, Gauge>, "delivery_expiry_timestamp_seconds", "Expiry of the held lease; absent if it does not expire";
        obtained: Family<InstanceServiceLabels, Gauge>, "delivery_obtained_timestamp_seconds",
            "Time at which the held lease was obtained";
        revision: Family<InstanceServiceLabels, Gauge>, "delivery_revision", "Revision of the held lease";
        applied: Family<InstanceServiceLabels, Gauge>, "applied_revision", "Revision of the held lease, if applied";
        failures: Family<ReceiverLabels, Gauge>, "failures_in_a_row", "Consecutive failed receiver runs";
    }
}

impl HeldDeliveries {
    /// Replaces the whole snapshot.
    pub(crate) fn set(&self, snapshot: &WorkerSnapshot) {
        self.connected.set(snapshot.connected.into());
        self.contact_age.set(snapshot.contact_age.map_or(-1, gauge_value));
        self.ready.set(snapshot.ready.into());
        for family in [&self.expiry, &self.obtained, &self.revision, &self.applied] {
            family.clear();
        }
        self.failures.clear();
        for delivery in &snapshot.deliveries {
            let labels =
                InstanceServiceLabels { instance: delivery.instance.clone(), service: delivery.service.clone() };
            if let Some(expiry) = delivery.expiry {
                self.expiry.get_or_create(&labels).set(gauge_value(expiry));
            }
            self.obtained.get_or_create(&labels).set(gauge_value(delivery.obtained));
            self.revision.get_or_create(&labels).set(gauge_value(delivery.revision));
            if let Some(applied) = delivery.applied {
                self.applied.get_or_create(&labels).set(gauge_value(applied));
            }
        }
        for (receiver, count) in &snapshot.failures {
            self.failures.get_or_create(&ReceiverLabels { receiver: receiver.clone() }).set((*count).into());
        }
    }
}
