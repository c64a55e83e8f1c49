//! The addresses of the coordinators, as the connected one knows them.

use deputy_core::{AdvertisedAddresses, HostPort};

use super::ClientSession;
use crate::message::Addresses;

impl ClientSession<'_> {
    /// Keeps the list for the next connection. A list that cannot be used changes nothing.
    pub(super) async fn learn_addresses(&mut self, message: &Addresses) {
        let learnt = match AdvertisedAddresses::parse(&message.addresses) {
            // The address in use works, which those of a mistaken list may not.
            Ok(learnt) => learnt.with(self.address.clone()),
            Err(error) => {
                tracing::warn!(%error, "ignored the coordinator's list of addresses; those from before stay in use");
                return;
            }
        };
        if learnt == self.client.identity.addresses {
            return;
        }
        tracing::info!(addresses = %learnt, "the coordinator's addresses changed");
        let mut next = self.client.identity.clone();
        next.addresses = learnt;
        // Used even if it cannot be saved: a restarted worker learns the list again.
        let saved = self.save(&next).await;
        self.client.state.send_modify(|state| state.addresses.clone_from(&next.addresses));
        self.client.identity = next;
        self.record_save(saved);
    }

    /// A random address, unless it is the one in use.
    pub(super) fn other_address(&mut self) -> Option<HostPort> {
        let picked = self.client.rng.choice(self.client.identity.addresses.as_slice())?;
        (*picked != self.address).then(|| picked.clone())
    }
}
