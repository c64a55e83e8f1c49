//! Leases and receivers that the coordinator delivers.

use std::collections::BTreeSet;
use std::sync::Arc;

use deputy_core::{
    Delivery, Digest, InstanceName, LeaseVersion, ReceiverName, Revision, S3Place, S3Places, SecretBytes, Timestamp,
};
use deputy_support::timer_now;

use super::ClientSession;
use crate::client::connection_lost::ConnectionLost;
use crate::client::link::LinkPhase;
use crate::delivered_state::{DeliveryReport, ReceiverBinding};
use crate::message::{
    GroupInstances, InstancePlace, LeaseUpdate, LeaseWithdrawn, ReceiverBound, ReceiverLimits, SnapshotEnd,
};

impl ClientSession<'_> {
    pub(super) fn update(&mut self, update: LeaseUpdate) -> Result<(), ConnectionLost> {
        let payload = Arc::new(SecretBytes::new(update.payload));
        if !update.subject.is_empty() {
            tracing::warn!(instance = %instance(&update.instance)?, "ignored a lease that is not for every worker");
            return Ok(());
        }
        let delivery = Delivery {
            instance: instance(&update.instance)?,
            service: update.service.parse().map_err(|_| ConnectionLost::Malformed("service name"))?,
            kind: update.kind.parse().map_err(|_| ConnectionLost::Malformed("kind of payload"))?,
            stamp: LeaseVersion {
                revision: Revision(update.revision),
                obtained_at: Timestamp::from_millis(update.obtained_ms),
            },
            valid_until: Timestamp::from_millis(update.valid_until_ms),
            next_at: update.next_at_ms.map(Timestamp::from_millis),
            renewable_until: update.renewable_until_ms.map(Timestamp::from_millis),
            payload,
            trace: update.traceparent.and_then(|text| text.parse().ok()),
        };
        if !self.client.newest.take(&delivery.instance, delivery.stamp) {
            tracing::warn!(
                instance = %delivery.instance,
                revision = %delivery.stamp.revision,
                "ignored a lease that is older than the one in use: this coordinator is behind another one"
            );
            return Ok(());
        }
        tracing::info!(
            instance = %delivery.instance,
            revision = %delivery.stamp.revision,
            valid_until = %delivery.valid_until,
            "lease received"
        );
        self.change(|held| {
            held.deliveries.insert(delivery.instance.clone(), delivery);
        });
        Ok(())
    }

    pub(super) fn withdraw(&self, withdrawn: &LeaseWithdrawn) -> Result<(), ConnectionLost> {
        let instance = instance(&withdrawn.instance)?;
        self.change(|held| {
            held.deliveries.remove(&instance);
        });
        Ok(())
    }

    pub(super) fn bind(&self, bound: &ReceiverBound) -> Result<(), ConnectionLost> {
        let receiver = receiver(&bound.receiver)?;
        if bound.component.is_empty() {
            self.change(|held| {
                held.receivers.remove(&receiver);
                held.unavailable_receivers.remove(&receiver);
            });
            return Ok(());
        }
        let component = <[u8; 32]>::try_from(bound.component.as_slice())
            .map_err(|_| ConnectionLost::Malformed("component digest"))?;
        let limits = bound.limits.as_deref().map(ReceiverLimits::parsed).transpose();
        let binding = ReceiverBinding {
            component: Digest::new(component),
            settings: bound.settings.clone(),
            instances: bound.instances.iter().map(|name| instance(name)).collect::<Result<_, _>>()?,
            limits: limits.map_err(|_| ConnectionLost::Malformed("limit"))?.unwrap_or_default(),
        };
        self.change(|held| {
            held.unavailable_receivers.remove(&receiver);
            held.receivers.insert(receiver, binding);
        });
        Ok(())
    }

    /// Until the snapshot is complete, the held list stays consistent with the held leases.
    pub(super) fn set_group_instances(&mut self, message: &GroupInstances) -> Result<(), ConnectionLost> {
        let instances = message.instances.iter().map(|name| instance(name)).collect::<Result<BTreeSet<_>, _>>()?;
        let places = message.places.iter().map(place).collect::<Result<S3Places, _>>()?;
        self.places = places.into_iter().filter(|(instance, _)| instances.contains(instance)).collect();
        self.group_instances = Some(instances);
        if self.client.state.borrow().phase == LinkPhase::Connected {
            self.change(|held| {
                held.group_instances.clone_from(&self.group_instances);
                held.places.clone_from(&self.places);
            });
        }
        Ok(())
    }

    /// Drops what the complete snapshot does not list, and repeats reports and fetches.
    pub(super) async fn end_snapshot(&mut self, end: &SnapshotEnd) -> Result<(), ConnectionLost> {
        let instances: BTreeSet<&str> = end.instances.iter().map(String::as_str).collect();
        let receivers: BTreeSet<ReceiverName> =
            end.receivers.iter().map(|name| receiver(name)).collect::<Result<_, _>>()?;
        self.change(|held| {
            held.deliveries.retain(|instance, _| instances.contains(instance.as_str()));
            held.receivers.retain(|receiver, _| receivers.contains(receiver));
            let unavailable = receivers.into_iter().filter(|receiver| !held.receivers.contains_key(receiver));
            held.unavailable_receivers = unavailable.collect();
            held.group_instances.clone_from(&self.group_instances);
            held.places.clone_from(&self.places);
            held.complete = true;
        });
        self.client.state.send_modify(|state| state.failures = 0);
        self.client.reconnect.connected_at = Some(timer_now());
        self.client.enter(LinkPhase::Connected, self.client.save_error.clone());
        tracing::info!(instances = instances.len(), "connected to the coordinator");
        if let Some(known) = &self.group_instances {
            self.client.newest.retain(|instance| known.contains(instance));
        }
        self.client.reported.retain(|instance, _| instances.contains(instance.as_str()));
        let reports: Vec<DeliveryReport> = self.client.reported.values().cloned().collect();
        for report in &reports {
            self.send_report(report).await?;
        }
        for digest in self.client.fetches.restart(timer_now()) {
            self.request_component(digest).await?;
        }
        Ok(())
    }
}

fn instance(name: &str) -> Result<InstanceName, ConnectionLost> {
    name.parse().map_err(|_| ConnectionLost::Malformed("instance name"))
}

fn place(message: &InstancePlace) -> Result<(InstanceName, S3Place), ConnectionLost> {
    Ok((instance(&message.instance)?, message.place()))
}

fn receiver(name: &str) -> Result<ReceiverName, ConnectionLost> {
    name.parse().map_err(|_| ConnectionLost::Malformed("receiver name"))
}
