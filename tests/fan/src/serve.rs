//! The coordinator's side: the link's server, unchanged, and the floor beside it, which sleeps while the other is measured.
//! Several of them publish the same leases, as replicas do.

use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use deputy_core::{Delivery, LeaseVersion, Revision, SecretBytes, Span, Timestamp};
use deputy_link::message::{LeaseUpdate, ServerMessage, ServerMessageKind};
use deputy_link::server::Sessions;
use deputy_link::{EncodedLease, EnrolledWorker, GroupFeed, encode};
use deputy_support::SystemClock;
use serde::{Deserialize, Serialize};

use crate::capacity::Capacity;
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

/// Its first line of input.
#[derive(Serialize, Deserialize)]
pub(crate) struct Begin {
    /// Each server has another one.
    pub(crate) number: u16,
    /// The key of the authority that the servers share; the first makes it.
    pub(crate) authority: Option<Vec<u8>>,
}

/// An order of the benchmark.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Publishes new leases from this revision on, each when all `workers` have acknowledged the one before.
    Push { by: By, revision: u64, pushes: usize, workers: usize },
    /// Publishes one lease, and tells when each of the `workers` acknowledged it.
    Publish { by: By, lease: Lease, workers: usize },
    /// Restarts once no worker is connected, publishes a lease, and waits until `workers` have connected and have it.
    Storm { lease: Lease, workers: usize },
    /// Says which workers joined here.
    Enrolled,
    /// Takes over workers that joined at other servers.
    Enrol { workers: Vec<EnrolledWorker> },
    /// Publishes what no worker reads.
    Fill,
    /// Says how much memory it has.
    Memory,
}

/// A lease that all servers publish.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) revision: u64,
    pub(crate) obtained_ms: u64,
}

/// When workers acknowledged a lease, in microseconds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Times {
    /// When the server began, by the clock of all processes.
    pub(crate) begun: u64,
    /// After that, in order.
    pub(crate) after: Vec<u64>,
    /// The server's processor time since then, in nanoseconds.
    pub(crate) cpu: u64,
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
    pub(crate) authority: Vec<u8>,
}

struct Site {
    coordinator: Coordinator,
    group: Arc<GroupFeed>,
    floor: Floor,
    tracker: Arc<Tracker>,
}

pub(crate) fn serve(capacity: &Capacity) -> Result {
    let mut lines = stdin().lock().lines();
    let begin: Begin = serde_json::from_str(&lines.next().ok_or("no first line")??)?;
    let tracker = Arc::new(Tracker::default());
    let counting = Arc::clone(&tracker);
    let observer = Box::new(move |_: &_, report: &deputy_link::DeliveryReport| counting.note(report.stamp.revision.0));
    let enrolment = MemoryEnrolment::new(begin.number, begin.authority.as_deref())?;
    let authority = enrolment.authority().encode()?.expose().to_vec();
    let sessions = Sessions::new(Arc::new(SystemClock::default()), Some(observer));
    let coordinator = Coordinator::start(enrolment, sessions, capacity.server_limits())?;
    let floor = Floor::start(coordinator.listener()?, coordinator.tls()?.config(), Arc::clone(&tracker))?;
    let (group, link, join) = (coordinator.group()?, coordinator.port(), coordinator.join_string()?);
    let mut site = Site { coordinator, group, floor, tracker };
    site.publish(INSTANCE, Lease::new(0), PAYLOAD)?;
    reply(&Hello { link, floor: site.floor.port(), join, memory: process::anonymous()?, authority })?;
    for line in lines {
        site.obey(serde_json::from_str(&line?)?)?;
    }
    site.coordinator.stop()
}

impl Lease {
    pub(crate) fn new(revision: u64) -> Self {
        Self { revision, obtained_ms: now().as_millis() }
    }
}

impl Times {
    /// From the times of all acknowledgements.
    fn new(begun: u64, after: &[Duration], cpu: u64) -> Self {
        Self { begun, after: after.iter().map(|after| after.as_micros() as u64).collect(), cpu }
    }
}

impl Site {
    fn obey(&mut self, order: Order) -> Result {
        match order {
            Order::Push { by, revision, pushes, workers } => {
                let revisions = (revision..).take(pushes);
                let samples: Result<Vec<Push>> = revisions
                    .map(|revision| {
                        let (times, cpu) = self.push(by, Lease::new(revision), workers)?;
                        Ok(Push::new(&times, cpu))
                    })
                    .collect();
                reply(&samples?)
            }
            Order::Publish { by, lease, workers } => {
                let begun = process::clock();
                let (times, cpu) = self.push(by, lease, workers)?;
                reply(&Times::new(begun, &times, cpu))
            }
            Order::Storm { lease, workers } => {
                while self.coordinator.sessions().connected() > 0 {
                    thread::sleep(Duration::from_millis(5));
                }
                self.coordinator.restart()?;
                let (cpu, begun) = (process::cpu()?, process::clock());
                self.tracker.begin(lease.revision, workers);
                self.publish(INSTANCE, lease, PAYLOAD)?;
                reply(&())?;
                reply(&Times::new(begun, &self.tracker.wait()?, process::cpu()? - cpu))
            }
            Order::Enrolled => reply(&self.coordinator.enrolment().enrolled()),
            Order::Enrol { workers } => {
                self.coordinator.enrolment().enrol(workers);
                reply(&())
            }
            Order::Fill => {
                self.publish(FILLER, Lease::new(1), FILLING)?;
                reply(&())
            }
            Order::Memory => reply(&process::anonymous()?),
        }
    }

    fn push(&mut self, by: By, lease: Lease, workers: usize) -> Result<(Vec<Duration>, u64)> {
        thread::sleep(BETWEEN);
        let cpu = process::cpu()?;
        let encoded = encoded(INSTANCE, lease, PAYLOAD)?;
        let frame = frame(lease);
        self.tracker.begin(lease.revision, workers);
        match by {
            By::Link => self.group.publish(&encoded),
            By::Floor => self.floor.push(frame)?,
        }
        let times = self.tracker.wait()?;
        let ended = Instant::now();
        // The kernel counts a thread's time when it sleeps.
        while ended.elapsed() < BETWEEN {
            thread::sleep(BETWEEN);
        }
        Ok((times, process::cpu()? - cpu))
    }

    fn publish(&self, instance: &str, lease: Lease, size: usize) -> Result {
        self.group.publish(&encoded(instance, lease, size)?);
        Ok(())
    }
}

fn encoded(instance: &str, lease: Lease, size: usize) -> Result<EncodedLease> {
    let obtained_at = Timestamp::from_millis(lease.obtained_ms);
    Ok(EncodedLease::new(&Delivery {
        instance: instance.parse()?,
        service: SERVICE.parse()?,
        kind: KIND.parse()?,
        stamp: LeaseVersion { revision: Revision(lease.revision), obtained_at },
        valid_until: obtained_at.plus(Span::secs(3600)),
        next_at: None,
        renewable_until: None,
        payload: Arc::new(SecretBytes::new(vec![b'x'; size])),
        trace: None,
    }))
}

/// The same bytes, for the floor.
fn frame(lease: Lease) -> Bytes {
    encode(&ServerMessage::from(ServerMessageKind::LeaseUpdate(LeaseUpdate {
        instance: INSTANCE.to_owned(),
        service: SERVICE.to_owned(),
        revision: lease.revision,
        obtained_ms: lease.obtained_ms,
        valid_until_ms: Timestamp::from_millis(lease.obtained_ms).plus(Span::secs(3600)).as_millis(),
        payload: vec![b'x'; PAYLOAD],
        kind: KIND.to_owned(),
        subject: String::new(),
        next_at_ms: None,
        renewable_until_ms: None,
        traceparent: None,
    })))
}
