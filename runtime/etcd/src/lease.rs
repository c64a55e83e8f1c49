//! etcd's leases: keys that end with them.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::client::CallLimits;
use crate::grpc::{Requests, encode};
use crate::message::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest,
    LeaseRevokeResponse,
};
use crate::{EtcdClient, EtcdError, Repeat};

const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";

const LIMITS: CallLimits = CallLimits { attempt: Duration::from_secs(2), total: Duration::from_secs(6) };

impl EtcdClient {
    /// A lease that ends after these seconds, unless it is kept alive. A grant whose answer is lost ends by itself.
    pub async fn grant(&self, seconds: i64) -> Result<i64, EtcdError> {
        let request = LeaseGrantRequest { ttl: seconds, id: 0 };
        let granted: LeaseGrantResponse = self.call(GRANT, &request, Repeat::Always, LIMITS).await?;
        Ok(granted.id)
    }

    /// Ends a lease, and deletes its keys.
    pub async fn revoke(&self, lease: i64) -> Result<(), EtcdError> {
        let revoked = self.call(REVOKE, &LeaseRevokeRequest { id: lease }, Repeat::Always, LIMITS).await;
        revoked.map(|_: LeaseRevokeResponse| ())
    }

    /// Prolongs a lease, at one member, within a limit. `false` if the lease has ended.
    pub async fn keep_alive(&self, lease: i64, limit: Duration) -> Result<bool, EtcdError> {
        let asked = timeout(limit, self.keep_alive_once(lease, limit)).await;
        asked.unwrap_or_else(|_| Err(self.leave_silent()))
    }

    async fn keep_alive_once(&self, lease: i64, limit: Duration) -> Result<bool, EtcdError> {
        // The stream stays open for requests while its answer is awaited: etcd ends one that is closed.
        let (_sender, more) = mpsc::channel(1);
        let requests = Requests::several(encode(&LeaseKeepAliveRequest { id: lease }), more);
        let (connection, mut answers, token) =
            self.stream::<LeaseKeepAliveResponse>(KEEP_ALIVE, requests, limit).await?;
        let answered = timeout(limit, answers.next()).await;
        let answered = match answered {
            Ok(answered) => answered.map_err(|error| connection.explain(error)),
            Err(_) => Err(connection.broken("no answer in time")),
        };
        match answered {
            Ok(Some(answer)) => Ok(answer.ttl > 0),
            Ok(None) => Err(connection.broken("the stream ended")),
            Err(error) => {
                self.leave_after(&error, &connection);
                if let Some(token) = token.filter(|_| error.is_outdated_token()) {
                    self.forget_token(&token);
                }
                Err(error)
            }
        }
    }
}
