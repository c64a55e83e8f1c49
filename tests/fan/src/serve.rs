//! The coordinator's side: the link's server as it is, and the floor beside it, which sleeps while the other is measured.

use std::io::{BufRead, stdin};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use deputy_core::schedule::Revision;
use deputy_core::{Delivery, GroupName, SecretBytes, Span, Stamp};
use deputy_link::message::{Down, Reply, Update};
use deputy_link::server::{Limits, Roster, Server, Tls};
use deputy_link::{Encoded, Group, Hub, encode};
use serde::{Deserialize, Serialize};
use tokio::net::TcpSocket;
use tokio::sync::watch;

use crate::child::reply;
use crate::desk::{Door, GROUP, now};
use crate::floor::Floor;
use crate::process;
use crate::tracker::Tracker;
use crate::{Result, table::Push};

/// What every worker gets.
pub(crate) const INSTANCE: &str = "s3-prod";

/// What those get that will not read it.
pub(crate) const FILLER: &str = "filler";

const SERVICE: &str = "s3";

/// Of a lease: what S3 credentials with a long session token have.
pub(crate) const PAYLOAD: usize = 1450;

/// More than two sockets' buffers hold.
const FILLING: usize = 12 << 20;

/// Between two pushes, so that one has ended in all processes before the next.
const BETWEEN: Duration = Duration::from_millis(5);

/// What it is told to do.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Publishes new leases, one after the other, each when so many have acknowledged the one before.
    Push { by: By, pushes: usize, workers: usize },
    /// Publishes a lease once nobody is there, and waits for so many to come and have it.
    Storm { workers: usize },
    /// Publishes what nobody reads.
    Fill,
    /// Says how much memory it has.
    Memory,
}

/// Who publishes.
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
    roster: Arc<Roster>,
    group: Arc<Group>,
    floor: Floor,
    tracker: Arc<Tracker>,
    revision: u64,
}

pub(crate) fn serve() -> Result {
    // As `deputy run` has it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let door = Arc::new(Door::new()?);
    let tracker = Arc::new(Tracker::default());
    let counting = Arc::clone(&tracker);
    let observer = Box::new(move |_: &_, report: &deputy_link::Report| counting.note(report.stamp.revision.0));
    let (roster, hub) = (Arc::new(Roster::new(now, Some(observer))), Arc::new(Hub::default()));
    let tls = Arc::new(Tls::new(now(), door.authority())?);
    hub.trust(door.authority().trusted().iter().map(|der| der.to_vec()).collect());
    let group = hub.group(&GROUP.parse::<GroupName>()?);
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let listener = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(address)?;
        // As the link's: the kernel's own bound is the same for both.
        socket.listen(4096)?.into_std()
    })?;
    let floor = Floor::start(listener, tls.config(), Arc::clone(&tracker))?;
    let (desk, roster_of_server) = (Arc::clone(&door), Arc::clone(&roster));
    // The bare workers give no sign of life but their word.
    let limits = Limits { heartbeat: Span::secs(600), ..Limits::default() };
    let server = runtime.block_on(async { Server::bind(address, desk, hub, roster_of_server, tls, limits) })?;
    let link = server.address()?.port();
    let (stop, stopped) = watch::channel(false);
    let running = runtime.spawn(server.run(stopped));
    let join = door.token(format!("{}:{link}", Ipv4Addr::LOCALHOST))?.reveal().to_string();
    let mut site = Site { roster, group, floor, tracker, revision: 0 };
    site.publish(INSTANCE, PAYLOAD)?;
    reply(&Hello { link, floor: site.floor.port(), join, memory: process::anonymous()? })?;
    for line in stdin().lock().lines() {
        site.obey(serde_json::from_str(&line?)?)?;
    }
    stop.send_replace(true);
    Ok(runtime.block_on(running)?)
}

impl Site {
    fn obey(&mut self, order: Order) -> Result {
        match order {
            Order::Push { by, pushes, workers } => {
                let samples: Result<Vec<Push>> = (0..pushes).map(|_| self.push(by, workers)).collect();
                reply(&samples?)
            }
            Order::Storm { workers } => {
                while self.roster.connected() > 0 {
                    thread::sleep(Duration::from_millis(5));
                }
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

    fn encoded(&self, instance: &str, size: usize) -> Result<Encoded> {
        Ok(Encoded::new(&Delivery {
            instance: instance.parse()?,
            service: SERVICE.parse()?,
            stamp: Stamp { revision: Revision(self.revision), obtained_at: now() },
            valid_until: now().plus(Span::secs(3600)),
            payload: Arc::new(SecretBytes::new(vec![b'x'; size])),
        }))
    }
}

/// The same bytes, for the floor.
fn frame(revision: u64) -> Bytes {
    encode(&Down::from(Reply::Update(Update {
        instance: INSTANCE.to_owned(),
        service: SERVICE.to_owned(),
        revision,
        obtained_ms: now().as_millis(),
        valid_until_ms: now().plus(Span::secs(3600)).as_millis(),
        payload: vec![b'x'; PAYLOAD],
    })))
}
