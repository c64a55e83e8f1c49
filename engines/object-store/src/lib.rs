//! AWS credentials for `object_store`, from Deputy, renewed while the engine runs.
//!
//! An engine joins as a worker does, with a join string of `deputy token create`, and hands `object_store` a provider of
//! credentials. Whatever is sent is then signed with the newest lease: nothing is to be restarted when one is replaced.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use deputy_link::client::Engine;
//! use deputy_object_store::Lease;
//! use object_store::aws::AmazonS3Builder;
//!
//! let join = std::fs::read_to_string("join")?.parse()?;
//! let link = Engine::new("my-engine-1.0").join(&join).await?;
//! let lease = Lease::of(&link, "s3-prod".parse()?);
//! let store = AmazonS3Builder::new()
//!     .with_bucket_name("events")
//!     .with_region("eu-west-1")
//!     .with_credentials(lease.credentials())
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! `object_store` is here without a client for HTTP and without a library for signatures: take its feature `aws`, or what
//! you have instead. It keeps credentials as plain strings, which are not wiped; here they are kept for as long as their
//! lease is the newest.

mod credentials;
mod error;
mod provider;

use std::sync::Arc;
use std::time::Duration;

use deputy_core::{InstanceName, Timestamp};
use deputy_link::client::Link;
use object_store::aws::AwsCredentialProvider;

pub use error::LeaseError;
use provider::Provider;

/// An instance's lease, as this engine has it. Cheap to clone.
#[derive(Clone)]
pub struct Lease {
    link: Link,
    instance: InstanceName,
    patience: Duration,
}

/// How long credentials are waited for, if nobody says otherwise: an instance that is had on demand is obtained by that.
const PATIENCE: Duration = Duration::from_secs(30);

impl Lease {
    /// The lease of this instance.
    pub fn of(link: &Link, instance: InstanceName) -> Self {
        Self { link: link.clone(), instance, patience: PATIENCE }
    }

    /// Waits so long for the first one, and no longer.
    #[must_use]
    pub fn waiting(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// When what is held ends; nothing if nothing is held.
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.link.held.borrow().deliveries.get(&self.instance).map(|delivery| delivery.valid_until)
    }

    /// What gives out the newest credentials, each time that it is asked. It keeps the link alive.
    ///
    /// The coordinator is told that a lease is applied when it is first given out here, or why it can't be.
    pub fn credentials(&self) -> AwsCredentialProvider {
        Arc::new(Provider::new(&self.link, self.instance.clone(), self.patience))
    }
}
