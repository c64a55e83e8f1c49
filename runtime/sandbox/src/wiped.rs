//! Payloads on their way into a component, in the types of the bindings. They are wiped after the call.

use std::ops::Deref;

use deputy_core::{Delivery, Fact, Timestamp, TokenExpiry, Tokens};
use zeroize::Zeroize;

use crate::bindings::delegation::tokens::types as wit;
use crate::bindings::receives::exports::delegation::tokens::receiver as wit_receiver;

/// What the bindings copy from. The copy is in the memory of the component, which is released with the call.
pub(crate) struct WipeOnDrop<T: Wipe>(T);

/// A value that holds payloads.
pub(crate) trait Wipe {
    fn wipe(&mut self);
}

impl WipeOnDrop<wit::Tokens> {
    /// Tokens that a provider obtained earlier.
    pub(crate) fn tokens(tokens: &Tokens) -> Self {
        Self(wit::Tokens {
            kind: tokens.kind.to_string(),
            payload: tokens.payload.expose().to_vec(),
            expiry: match tokens.expiry {
                TokenExpiry::Unknown => wit::Expiry::Unknown,
                TokenExpiry::Never => wit::Expiry::Never,
                TokenExpiry::At(at) => wit::Expiry::At(at.as_millis()),
            },
            next_at: tokens.next_at.map(Timestamp::as_millis),
            renewable_until: tokens.renewable_until.map(Timestamp::as_millis),
            handle: tokens.handle.expose().to_vec(),
            facts: tokens.facts.iter().map(to_wit_fact).collect(),
        })
    }
}

impl WipeOnDrop<Vec<wit_receiver::Delivery>> {
    /// Deliveries, each with the host's facts.
    pub(crate) fn deliveries(deliveries: &[Delivery], host_facts: &[Fact]) -> Self {
        Self(deliveries.iter().map(|delivery| to_wit(delivery, host_facts)).collect())
    }
}

fn to_wit(delivery: &Delivery, host_facts: &[Fact]) -> wit_receiver::Delivery {
    wit_receiver::Delivery {
        instance: delivery.instance.to_string(),
        service: delivery.service.to_string(),
        revision: delivery.stamp.revision.0,
        kind: delivery.kind.to_string(),
        payload: delivery.payload.expose().to_vec(),
        expiry: match delivery.valid_until {
            Timestamp::FOREVER => wit::Expiry::Never,
            at => wit::Expiry::At(at.as_millis()),
        },
        obtained_at: delivery.stamp.obtained_at.as_millis(),
        facts: host_facts.iter().map(to_wit_fact).collect(),
    }
}

fn to_wit_fact(fact: &Fact) -> wit::Fact {
    wit::Fact { name: fact.name.clone(), value: fact.value.clone() }
}

impl Wipe for wit::Tokens {
    fn wipe(&mut self) {
        self.payload.zeroize();
        self.handle.zeroize();
    }
}

impl Wipe for Vec<wit_receiver::Delivery> {
    fn wipe(&mut self) {
        self.iter_mut().for_each(|delivery| delivery.payload.zeroize());
    }
}

impl<T: Wipe> Deref for WipeOnDrop<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Wipe> Drop for WipeOnDrop<T> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deputy_core::{LeaseVersion, Revision, SecretBytes};

    use super::*;

    fn delivery(instance: &str, valid_until: Timestamp) -> Delivery {
        Delivery {
            instance: instance.parse().unwrap(),
            service: "s3".parse().unwrap(),
            kind: "test/1".parse().unwrap(),
            stamp: LeaseVersion { revision: Revision(7), obtained_at: Timestamp::from_millis(5) },
            valid_until,
            next_at: None,
            renewable_until: None,
            payload: Arc::new(SecretBytes::new(b"payload".to_vec())),
            trace: None,
        }
    }

    #[test]
    fn deliveries_carry_the_facts_of_the_host() {
        let facts = [Fact { name: "deputy.worker".to_owned(), value: "00c0ffee00c0ffee".to_owned() }];
        let given = [delivery("a", Timestamp::from_millis(9)), delivery("b", Timestamp::FOREVER)];
        let deliveries = WipeOnDrop::deliveries(&given, &facts);
        for delivery in deliveries.iter() {
            let [fact] = delivery.facts.as_slice() else { panic!("{:?}", delivery.facts) };
            assert_eq!((fact.name.as_str(), fact.value.as_str()), ("deputy.worker", "00c0ffee00c0ffee"));
        }
        assert!(matches!(deliveries[0].expiry, wit::Expiry::At(9)));
        assert!(matches!(deliveries[1].expiry, wit::Expiry::Never), "it has none");
    }
}
