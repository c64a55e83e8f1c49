//! AWS credentials for `object_store`, from Deputy, renewed while the engine runs.
//!
//! An engine enrols as a worker does, with a join string of `deputy token create`, and gives `object_store` a credential
//! provider. `object_store` then signs each request with the newest lease, without a restart when a lease is replaced.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use deputy_link::client::Engine;
//! use deputy_object_store::AwsLease;
//! use object_store::aws::AmazonS3Builder;
//!
//! let join = std::fs::read_to_string("join")?.parse()?;
//! let link = Engine::new("my-engine-1.0").join(&join).await?;
//! let lease = AwsLease::new(&link, "s3-prod".parse()?);
//! let store = AmazonS3Builder::new()
//!     .with_bucket_name("events")
//!     .with_region("eu-west-1")
//!     .with_credentials(lease.credentials())
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! This crate takes `object_store` without an HTTP client and without a signature library: enable its feature `aws`, or
//! bring your own. `object_store` keeps credentials as plain strings, which are not wiped. This crate keeps them until the
//! next lease arrives.

mod credentials;
mod error;
mod provider;

use std::sync::Arc;
use std::time::Duration;

use deputy_core::{InstanceName, Timestamp};
use deputy_link::client::Link;
use object_store::aws::AwsCredentialProvider;

pub use error::LeaseError;
use provider::LeaseCredentialProvider;

/// The lease of an instance of the service `s3`. Cheap to clone.
#[derive(Clone)]
pub struct AwsLease {
    link: Link,
    instance: InstanceName,
    wait_limit: Duration,
}

/// The default of [`AwsLease::with_wait_limit`]. An instance with `obtain = "on-demand"` may be obtained within it.
const DEFAULT_WAIT_LIMIT: Duration = Duration::from_secs(30);

impl AwsLease {
    /// The lease of this instance.
    pub fn new(link: &Link, instance: InstanceName) -> Self {
        Self { link: link.clone(), instance, wait_limit: DEFAULT_WAIT_LIMIT }
    }

    /// Sets how long a request for credentials waits for the first lease. The default is 30 seconds.
    #[must_use]
    pub fn with_wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = limit;
        self
    }

    /// The expiry of the lease that is held, if there is one.
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.link.held.borrow().deliveries.get(&self.instance).map(|delivery| delivery.valid_until)
    }

    /// A provider of the newest credentials. It keeps the link alive.
    ///
    /// The coordinator gets a report of each lease when it is first used here: that it is applied, or why it is not.
    pub fn credentials(&self) -> AwsCredentialProvider {
        Arc::new(LeaseCredentialProvider::new(&self.link, self.instance.clone(), self.wait_limit))
    }
}
