//! What a worker sends in its session.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use deputy_core::{Digest, InstanceName, LeaseVersion, Revision, Timestamp};
use deputy_support::timer_now;

use super::{ServerSession, check_rate, malformed};
use crate::certificate::PeerCertificate;
use crate::delivered_state::DeliveryReport;
use crate::frame::encode;
use crate::message::{
    ApplyReport, ClientMessage, ClientMessageKind, ComponentChunk, FetchComponent, KnownLease, Ping, RenewCertificate,
    ServerMessage, ServerMessageKind, Subscribe, Welcome,
};
use crate::protocol_error::ErrorCode;
use crate::server::connection_end::ConnectionEnd;
use crate::server::departed::while_connected;
use crate::server::sessions::Disconnect;

/// Bytes of one chunk of a component, so that leases need not wait for the whole component.
const CHUNK: usize = 64 << 10;

/// Instances that a worker may name in `Subscribe`.
const MAX_INSTANCES: usize = 4096;

/// Requests on one connection for components that the group does not have: each is an audit event.
const MAX_REFUSED_COMPONENTS: u32 = 100;

impl ServerSession<'_> {
    pub(super) async fn handle(&mut self, message: ClientMessage) -> Result<(), ConnectionEnd> {
        self.last_message = timer_now();
        self.context.sessions.record_message(&self.session);
        self.check_certificate().await?;
        check_rate(&self.message_rate, self.context.sessions.now())?;
        match message.kind {
            Some(ClientMessageKind::ApplyReport(report)) => self.record_report(report),
            Some(ClientMessageKind::Ping(Ping {})) => self.reply(ServerMessageKind::Pong(Ping {})).await,
            Some(ClientMessageKind::Subscribe(subscribe)) => self.subscribe(subscribe).await,
            Some(ClientMessageKind::RenewCertificate(renew)) => self.renew(renew).await,
            Some(ClientMessageKind::FetchComponent(fetch)) => self.send_component(fetch).await,
            Some(ClientMessageKind::Join(_)) => Err(malformed("an enrolled worker may not send Join")),
            // A later version defined it.
            None => Ok(()),
        }
    }

    fn record_report(&self, report: ApplyReport) -> Result<(), ConnectionEnd> {
        let lease = report.lease.as_ref().and_then(known_lease);
        let (instance, stamp) = lease.ok_or_else(|| malformed("ApplyReport names no lease"))?;
        // A worker cannot have applied a lease that it was never sent.
        if self.group.newest(&instance).is_some_and(|newest| was_sent(stamp, newest)) {
            let result = if report.failure.is_empty() { Ok(()) } else { Err(report.failure) };
            self.context.sessions.report(&self.session, DeliveryReport { instance, stamp, result });
        }
        Ok(())
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), ConnectionEnd> {
        if self.cursor.is_some() {
            return Err(malformed("a connection may send Subscribe once"));
        }
        let wanted = requested_instances(&subscribe)?;
        self.session.set_client_info(&subscribe.version, &subscribe.host);
        let known: BTreeMap<_, _> = subscribe.known.iter().filter_map(known_lease).collect();
        let welcome = Welcome {
            heartbeat_ms: self.context.limits.heartbeat.as_millis(),
            spread_ms: self.spread_ms(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let listed = wanted.as_ref().map(|wanted| wanted.iter().cloned().collect());
        let session = &self.session;
        let refusals = self.context.handler.subscribed(session.address, self.peer.worker, &session.group, listed).await;
        let refusals = refusals.into_iter().map(|refusal| ServerMessageKind::Refusal(refusal.into()));
        let replies = [ServerMessageKind::Welcome(welcome)].into_iter().chain(refusals);
        let mut frames: Vec<Bytes> = replies.map(|reply| encode(&ServerMessage::from(reply))).collect();
        self.session.set_wanted(wanted.clone());
        let (items, cursor) = self.group.snapshot(wanted, &known);
        self.cursor = Some(cursor);
        frames.extend(items);
        self.send_all(&frames).await
    }

    async fn renew(&mut self, renew: RenewCertificate) -> Result<(), ConnectionEnd> {
        if let Some((_, peer)) = self.renewed.take_if(|(sequence, _)| *sequence < renew.sequence) {
            self.peer = peer;
        }
        let from = self.session.address;
        let renewing = self.context.handler.renew(from, self.peer, renew.sequence, renew.request);
        let reply = match while_connected(&self.stream, renewing).await? {
            Ok(certified) => {
                let peer = PeerCertificate::parse(&certified.certificate.as_slice().into());
                self.renewed = peer.map(|peer| (renew.sequence, peer));
                ServerMessageKind::Certified(certified)
            }
            Err(refusal) if refusal.code.is_final() || refusal.code == ErrorCode::Throttled => {
                return self.disconnect(Disconnect::Refused(refusal)).await;
            }
            Err(refusal) => ServerMessageKind::Refusal(refusal.into()),
        };
        self.reply(reply).await
    }

    async fn send_component(&mut self, fetch: FetchComponent) -> Result<(), ConnectionEnd> {
        let digest = <[u8; 32]>::try_from(fetch.digest.as_slice())
            .map(Digest::new)
            .map_err(|_| malformed("FetchComponent has no SHA-256"))?;
        let session = &self.session;
        let found = self.context.handler.component(session.address, self.peer.worker, &session.group, digest);
        let component = match found {
            Ok(component) => component,
            Err(refusal) => {
                self.refused_components += 1;
                self.reply(ServerMessageKind::Refusal(refusal.into())).await?;
                if self.refused_components > MAX_REFUSED_COMPONENTS {
                    return Err(malformed("too many requests for components outside the group"));
                }
                return Ok(());
            }
        };
        let size = component.len() as u64;
        for bytes in component.chunks(CHUNK) {
            let chunk = ComponentChunk { digest: fetch.digest.clone(), size, bytes: bytes.to_vec() };
            self.reply(ServerMessageKind::ComponentChunk(chunk)).await?;
            self.push().await?;
        }
        Ok(())
    }
}

/// The instances that the worker names; `None` if it wants all that its group may have.
fn requested_instances(subscribe: &Subscribe) -> Result<Option<BTreeSet<InstanceName>>, ConnectionEnd> {
    if subscribe.instances.is_empty() {
        return Ok(None);
    }
    if subscribe.instances.len() > MAX_INSTANCES {
        return Err(malformed("Subscribe names too many instances"));
    }
    let names: Result<_, _> = subscribe.instances.iter().map(|name| name.parse()).collect();
    names.map(Some).map_err(|_| malformed("Subscribe names an invalid instance"))
}

/// Whether a lease may have been sent if `newest` is the newest one.
fn was_sent(lease: LeaseVersion, newest: LeaseVersion) -> bool {
    lease == newest || lease.revision < newest.revision
}

fn known_lease(known: &KnownLease) -> Option<(InstanceName, LeaseVersion)> {
    let version =
        LeaseVersion { revision: Revision(known.revision), obtained_at: Timestamp::from_millis(known.obtained_ms) };
    Some((known.instance.parse().ok()?, version))
}
