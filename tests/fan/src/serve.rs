//! The coordinator's side: the link's server, unchanged, and the floor beside it, which sleeps while the other is measured.

use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use deputy_core::{Delivery, LeaseVersion, Revision, SecretBytes, Span};
use deputy_link::message::{LeaseUpdate, ServerMessage, ServerMessageKind};
use deputy_link::server::Sessions;
use deputy_link::{EncodedLease, GroupFeed, encode};
use deputy_support::SystemClock;
use serde::{Deserialize, Serialize};

use crate::child::reply;
use crate::coordinator::Coordinator;
use crate::floor::Floor;
use crate::link_handler::{MemoryEnrolment, now};
use crate::process;
use crate::tracker::Tracker;
use crate::{Result, table::Push};

/// What every worker gets.
pub(crate) const INSTANCE: &str = "s3-prod";

/// What workers get that will not read it.
pub(crate) const FILLER: &str = "filler";

const SERVICE: &str = "s3";
const KIND: &str = "aws-credential-process/1";

/// Of a lease: what S3 credentials with a long session token have.
pub(crate) const PAYLOAD: usize = 1450;

/// More than two sockets' buffers hold.
const FILLING: usize = 12 << 20;

/// Between two pushes, so that one has ended in all processes before the next.
const BETWEEN: Duration = Duration::from_millis(5);

/// An order of the benchmark.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Publishes new leases, each when all `workers` have acknowledged the one before.
    Push { by: By, pushes: usize, workers: usize },
    /// Restarts once no worker is connected, publishes a lease, and waits until `workers` have connected and have it.
    Storm { workers: usize },
    /// Publishes what no worker reads.
    Fill,
    /// Says how much memory it has.
    Memory,
}

/// The publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum By {
    Link,
    Floor,
}

/// What it says first.
#[derive(Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) link: u16,
    pub(crate) floor: u16,
    pub(crate) join: String,
    pub(crate) memory: u64,
}

struct Site {
    coordinator: Coordinator,
    group: Arc<GroupFeed>,
    floor: Floor,
    tracker: Arc<Tracker>,
    revision: u64,
}

pub(crate) fn serve() -> Result {
    let tracker = Arc::new(Tracker::default());
    let counting = Arc::clone(&tracker);
    let observer = Box::new(move |_: &_, report: &deputy_link::DeliveryReport| counting.note(report.stamp.revision.0));
    let coordinator =
        Coordinator::start(MemoryEnrolment::new()?, Sessions::new(Arc::new(SystemClock::default()), Some(observer)))?;
    let floor = Floor::start(coordinator.listener()?, coordinator.tls()?.config(), Arc::clone(&tracker))?;
    let (group, link, join) = (coordinator.group()?, coordinator.port(), coordinator.join_string()?);
    let mut site = Site { coordinator, group, floor, tracker, revision: 0 };
    site.publish(INSTANCE, PAYLOAD)?;
    reply(&Hello { link, floor: site.floor.port(), join, memory: process::anonymous()? })?;
    for line in stdin().lock().lines() {
        site.obey(serde_json::from_str(&line?)?)?;
    }
    site.coordinator.stop()
}

impl Site {
    fn obey(&mut self, order: Order) -> Result {
        match order {
            Order::Push { by, pushes, workers } => {
                let samples: Result<Vec<Push>> = (0..pushes).map(|_| self.push(by, workers)).collect();
                reply(&samples?)
            }
            Order::Storm { workers } => {
                while self.coordinator.sessions().connected() > 0 {
                    thread::sleep(Duration::from_millis(5));
                }
                self.coordinator.restart()?;
                let cpu = process::cpu()?;
                self.revision += 1;
                self.tracker.begin(self.revision, workers);
                self.publish(INSTANCE, PAYLOAD)?;
                reply(&())?;
                reply(&Push::new(&self.tracker.wait()?, process::cpu()? - cpu))
            }
            Order::Fill => {
                self.publish(FILLER, FILLING)?;
                reply(&())
            }
            Order::Memory => reply(&process::anonymous()?),
        }
    }

    fn push(&mut self, by: By, workers: usize) -> Result<Push> {
        thread::sleep(BETWEEN);
        let cpu = process::cpu()?;
        self.revision += 1;
        let lease = self.encoded(INSTANCE, PAYLOAD)?;
        let frame = frame(self.revision);
        self.tracker.begin(self.revision, workers);
        match by {
            By::Link => self.group.publish(&lease),
            By::Floor => self.floor.push(frame)?,
        }
        let times = self.tracker.wait()?;
        let ended = Instant::now();
        // The kernel counts a thread's time when it sleeps.
        while ended.elapsed() < BETWEEN {
            thread::sleep(BETWEEN);
        }
        Ok(Push::new(&times, process::cpu()? - cpu))
    }

    fn publish(&self, instance: &str, size: usize) -> Result {
        self.group.publish(&self.encoded(instance, size)?);
        Ok(())
    }

    fn encoded(&self, instance: &str, size: usize) -> Result<EncodedLease> {
        Ok(EncodedLease::new(&Delivery {
            instance: instance.parse()?,
            service: SERVICE.parse()?,
            kind: KIND.parse()?,
            stamp: LeaseVersion { revision: Revision(self.revision), obtained_at: now() },
            valid_until: now().plus(Span::secs(3600)),
            next_at: None,
            renewable_until: None,
            payload: Arc::new(SecretBytes::new(vec![b'x'; size])),
            trace: None,
        }))
    }
}

/// The same bytes, for the floor.
fn frame(revision: u64) -> Bytes {
    encode(&ServerMessage::from(ServerMessageKind::LeaseUpdate(LeaseUpdate {
        instance: INSTANCE.to_owned(),
        service: SERVICE.to_owned(),
        revision,
        obtained_ms: now().as_millis(),
        valid_until_ms: now().plus(Span::secs(3600)).as_millis(),
        payload: vec![b'x'; PAYLOAD],
        kind: KIND.to_owned(),
        subject: String::new(),
        next_at_ms: None,
        renewable_until_ms: None,
        traceparent: None,
    })))
}
