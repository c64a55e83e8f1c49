//! Payloads on their way into a component, in the types of the bindings. They are wiped after the call.

use std::ops::Deref;

use deputy_core::{Delivery, Timestamp, Tokens};
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
        let valid_until = tokens.valid_until.map(Timestamp::as_millis);
        Self(wit::Tokens { payload: tokens.payload.expose().to_vec(), valid_until })
    }
}

impl WipeOnDrop<Vec<wit_receiver::Delivery>> {
    pub(crate) fn deliveries(deliveries: &[Delivery]) -> Self {
        Self(deliveries.iter().map(to_wit).collect())
    }
}

fn to_wit(delivery: &Delivery) -> wit_receiver::Delivery {
    wit_receiver::Delivery {
        instance: delivery.instance.to_string(),
        service: delivery.service.to_string(),
        revision: delivery.stamp.revision.0,
        tokens: wit::Tokens {
            payload: delivery.payload.expose().to_vec(),
            valid_until: Some(delivery.valid_until.as_millis()),
        },
    }
}

impl Wipe for wit::Tokens {
    fn wipe(&mut self) {
        self.payload.zeroize();
    }
}

impl Wipe for Vec<wit_receiver::Delivery> {
    fn wipe(&mut self) {
        self.iter_mut().for_each(|delivery| delivery.tokens.wipe());
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
