//! What is kept of a delivery, and of all the rest, as bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::{
    Delivery, InstanceName, LeaseVersion, Limit, LimitOverrides, ReceiverName, Revision, S3Place, SecretBytes,
    Timestamp,
};
use deputy_link::{DeliveredState, ReceiverBinding};
use deputy_store::framing;
use serde::{Deserialize, Serialize};

/// The version of both heads.
const FORMAT: u32 = 2;

/// Bytes that are of no use here.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheRecordError {
    /// Of a later version.
    #[error("the record has format {0}, which this version of deputy does not support")]
    Format(u32),
    /// What an earlier identity of this worker left: it was removed, and has joined again.
    #[error("the record belongs to another worker")]
    Foreign,
    /// Not what was written here.
    #[error("the record is not in a format of deputy")]
    Malformed,
}

#[derive(Serialize, Deserialize)]
struct DeliveryHead {
    format: u32,
    worker: String,
    /// That applied it; nothing for what the coordinator delivered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiver: Option<String>,
    instance: String,
    service: String,
    kind: String,
    revision: u64,
    obtained_at: u64,
    valid_until: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewable_until: Option<u64>,
    payload: usize,
}

/// The bindings, and the deliveries that belong to them.
#[derive(Serialize, Deserialize)]
struct IndexHead {
    format: u32,
    worker: String,
    instances: BTreeSet<String>,
    /// Which lease of each there should be: its revision and when it was obtained. An older one was restored from elsewhere.
    /// An earlier version did not say.
    #[serde(default)]
    stamps: BTreeMap<String, (u64, u64)>,
    receivers: BTreeMap<String, BindingHead>,
    /// All instances of the group. An earlier version, or a coordinator of one, did not say.
    #[serde(default)]
    delivered: Option<BTreeSet<String>>,
    /// Where the S3 of instances is: region and endpoint. An earlier version, or a coordinator of one, did not say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    places: BTreeMap<String, (Option<String>, Option<String>)>,
}

#[derive(Serialize, Deserialize)]
struct BindingHead {
    component: String,
    settings: BTreeMap<String, String>,
    instances: BTreeSet<String>,
    /// By their keys. An earlier version knew of none.
    #[serde(default)]
    limits: BTreeMap<String, u64>,
}

/// The bytes of a delivery.
pub(super) fn encode(worker: &str, delivery: &Delivery) -> Result<SecretBytes, serde_json::Error> {
    encode_delivery(worker, None, delivery)
}

/// The bytes of a delivery that a receiver applied.
pub(super) fn encode_applied(
    worker: &str,
    receiver: &ReceiverName,
    delivery: &Delivery,
) -> Result<SecretBytes, serde_json::Error> {
    encode_delivery(worker, Some(receiver), delivery)
}

fn encode_delivery(
    worker: &str,
    receiver: Option<&ReceiverName>,
    delivery: &Delivery,
) -> Result<SecretBytes, serde_json::Error> {
    let head = serde_json::to_vec(&DeliveryHead {
        format: FORMAT,
        worker: worker.to_owned(),
        receiver: receiver.map(ToString::to_string),
        instance: delivery.instance.to_string(),
        service: delivery.service.to_string(),
        kind: delivery.kind.to_string(),
        revision: delivery.stamp.revision.0,
        obtained_at: delivery.stamp.obtained_at.as_millis(),
        valid_until: delivery.valid_until.as_millis(),
        next_at: delivery.next_at.map(Timestamp::as_millis),
        renewable_until: delivery.renewable_until.map(Timestamp::as_millis),
        payload: delivery.payload.len(),
    })?;
    Ok(framing::join(&head, std::iter::once(&*delivery.payload)))
}

/// The delivery of these bytes.
pub(super) fn decode(worker: &str, bytes: &[u8]) -> Result<Delivery, CacheRecordError> {
    match decode_delivery(worker, bytes)? {
        (None, delivery) => Ok(delivery),
        (Some(_), _) => Err(CacheRecordError::Malformed),
    }
}

/// The delivery of these bytes, and the receiver that applied it.
pub(super) fn decode_applied(worker: &str, bytes: &[u8]) -> Result<(ReceiverName, Delivery), CacheRecordError> {
    let (receiver, delivery) = decode_delivery(worker, bytes)?;
    let receiver = receiver.ok_or(CacheRecordError::Malformed)?;
    Ok((receiver.parse().map_err(|_| CacheRecordError::Malformed)?, delivery))
}

fn decode_delivery(worker: &str, bytes: &[u8]) -> Result<(Option<String>, Delivery), CacheRecordError> {
    let (head, mut payloads) = framing::split(bytes).ok_or(CacheRecordError::Malformed)?;
    let head: DeliveryHead = head_of(head)?;
    let payload = framing::take(&mut payloads, head.payload).ok_or(CacheRecordError::Malformed)?;
    if !payloads.is_empty() {
        return Err(CacheRecordError::Malformed);
    }
    if head.worker != worker {
        return Err(CacheRecordError::Foreign);
    }
    let delivery = Delivery {
        instance: head.instance.parse().map_err(|_| CacheRecordError::Malformed)?,
        service: head.service.parse().map_err(|_| CacheRecordError::Malformed)?,
        kind: head.kind.parse().map_err(|_| CacheRecordError::Malformed)?,
        stamp: LeaseVersion {
            revision: Revision(head.revision),
            obtained_at: Timestamp::from_millis(head.obtained_at),
        },
        valid_until: Timestamp::from_millis(head.valid_until),
        next_at: head.next_at.map(Timestamp::from_millis),
        renewable_until: head.renewable_until.map(Timestamp::from_millis),
        payload: Arc::new(payload),
        trace: None,
    };
    Ok((head.receiver, delivery))
}

impl BindingHead {
    fn of(binding: &ReceiverBinding) -> Self {
        Self {
            component: binding.component.to_string(),
            settings: binding.settings.clone(),
            instances: binding.instances.iter().map(ToString::to_string).collect(),
            limits: binding.limits.iter().map(|(limit, number)| (limit.to_string(), number)).collect(),
        }
    }
}

/// The bytes of all the rest, with the leases that are on the disk.
pub(super) fn encode_index(
    worker: &str,
    held: &DeliveredState,
    stamps: &BTreeMap<InstanceName, LeaseVersion>,
) -> Result<SecretBytes, serde_json::Error> {
    let head = serde_json::to_vec(&IndexHead {
        format: FORMAT,
        worker: worker.to_owned(),
        instances: held.deliveries.keys().map(ToString::to_string).collect(),
        stamps: stamps
            .iter()
            .map(|(name, it)| (name.to_string(), (it.revision.0, it.obtained_at.as_millis())))
            .collect(),
        receivers: held.receivers.iter().map(|(name, it)| (name.to_string(), BindingHead::of(it))).collect(),
        delivered: held.group_instances.as_ref().map(|names| names.iter().map(ToString::to_string).collect()),
        places: held
            .places
            .iter()
            .map(|(name, place)| (name.to_string(), (place.region.clone(), place.endpoint.clone())))
            .collect(),
    })?;
    Ok(framing::join(&head, std::iter::empty()))
}

/// The deliveries that there should be, each with the oldest lease that it can be of, if that is known.
pub(super) type Expected = BTreeMap<String, Option<LeaseVersion>>;

/// What was held, without the deliveries, and those that there should be.
pub(super) fn decode_index(worker: &str, bytes: &[u8]) -> Result<(DeliveredState, Expected), CacheRecordError> {
    let (head, []) = framing::split(bytes).ok_or(CacheRecordError::Malformed)? else {
        return Err(CacheRecordError::Malformed);
    };
    let head: IndexHead = head_of(head)?;
    if head.worker != worker {
        return Err(CacheRecordError::Foreign);
    }
    let mut held = DeliveredState { complete: true, ..DeliveredState::default() };
    if let Some(delivered) = head.delivered {
        let delivered: Result<_, _> = delivered.iter().map(|name| name.parse()).collect();
        held.group_instances = Some(delivered.map_err(|_| CacheRecordError::Malformed)?);
    }
    for (name, (region, endpoint)) in head.places {
        let name = name.parse().map_err(|_| CacheRecordError::Malformed)?;
        held.places.insert(name, S3Place { region, endpoint });
    }
    for (name, binding) in head.receivers {
        let name = name.parse().map_err(|_| CacheRecordError::Malformed)?;
        let instances: Result<_, _> = binding.instances.iter().map(|name| name.parse()).collect();
        let binding = ReceiverBinding {
            component: binding.component.parse().map_err(|_| CacheRecordError::Malformed)?,
            settings: binding.settings,
            instances: instances.map_err(|_| CacheRecordError::Malformed)?,
            limits: limits_of(&binding.limits)?,
        };
        held.receivers.insert(name, binding);
    }
    let expected = head.instances.into_iter().map(|name| {
        let stamp = head.stamps.get(&name).map(|(revision, obtained)| LeaseVersion {
            revision: Revision(*revision),
            obtained_at: Timestamp::from_millis(*obtained),
        });
        (name, stamp)
    });
    Ok((held, expected.collect()))
}

fn limits_of(written: &BTreeMap<String, u64>) -> Result<LimitOverrides, CacheRecordError> {
    let limits: Option<Vec<_>> = written.iter().map(|(key, number)| Some((Limit::of_key(key)?, *number))).collect();
    LimitOverrides::new(limits.ok_or(CacheRecordError::Malformed)?).map_err(|_| CacheRecordError::Malformed)
}

fn head_of<'d, T: Deserialize<'d>>(head: &'d [u8]) -> Result<T, CacheRecordError> {
    #[derive(Deserialize)]
    struct FormatHead {
        format: u32,
    }
    let version: FormatHead = serde_json::from_slice(head).map_err(|_| CacheRecordError::Malformed)?;
    if version.format != FORMAT {
        return Err(CacheRecordError::Format(version.format));
    }
    serde_json::from_slice(head).map_err(|_| CacheRecordError::Malformed)
}
