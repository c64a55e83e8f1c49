//! Thousands of workers in one thread. Each acknowledges every lease; some read nothing on order.

use std::io::{BufRead, stdin};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;
use std::{io, thread};

use deputy_core::Span;
use deputy_link::client::join_until;
use deputy_link::message::{
    ApplyReport, ClientMessage, ClientMessageKind, KnownLease, ServerMessage, ServerMessageKind, Subscribe,
};
use deputy_link::{JoinString, ProtocolError, WorkerKey, encode};
use mio::{Events, Poll, Token, Waker};
use prost::Message;
use rustls::ClientConfig;
use rustls::client::Resumption;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::Result;
use crate::capacity::Split;
use crate::child::{Process, reply};
use crate::reconnect::{Failures, Reconnects};
use crate::serve::{FILLER, INSTANCE};
use crate::session::{Session, Stands};

/// Joins at once; connections that are begun before what came is looked at.
const JOINS: usize = 64;
const BATCH: usize = 64;

/// After this time without success a worker does not join.
const JOIN_LIMIT: Duration = Duration::from_secs(60);

const ORDERS: Token = Token(usize::MAX);

/// An order of the benchmark.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Creates `count` workers, which join the servers in turns. This process is the one with this `number`.
    Join { number: u8, strings: Vec<String>, count: usize },
    /// Has the first `count` workers connect unless they are connected, with the tickets that they have or without, each
    /// to the server that it joined.
    Connect { ports: Vec<u16>, count: usize, with: Handshake },
    /// The first `count` workers read nothing any more.
    Stall { count: usize },
    /// All connections end.
    Cut,
}

/// How a worker comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Handshake {
    Full,
    Tickets,
    /// As one that will stall: it wants all that there is.
    Greedy,
    /// It wants what its group may have, as most workers do.
    WholeGroup,
}

/// What it answers, when it is done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Connections that were resumed with a ticket, among those of this order.
    pub(crate) resumed: usize,
    /// Attempts of this order that failed and were repeated.
    pub(crate) repeated: usize,
}

impl Done {
    pub(crate) fn add(&mut self, other: &Self) {
        self.resumed += other.resumed;
        self.repeated += other.repeated;
    }
}

/// Gives each process with workers its number and its share of the workers, and waits for all of them.
pub(crate) fn tell(loads: &mut [Process], workers: usize, order: impl Fn(u8, usize) -> Order) -> Result<Done> {
    let split = Split { workers, servers: 1, loads: loads.len() };
    for (number, load) in loads.iter_mut().enumerate() {
        load.tell(&serde_json::to_string(&order(u8::try_from(number)?, split.of_load(number)))?)?;
    }
    let mut all = Done::default();
    for load in loads {
        all.add(&load.answer()?);
    }
    Ok(all)
}

struct Worker {
    full: Arc<ClientConfig>,
    tickets: Arc<ClientConfig>,
    /// Its own, as if it had a machine of its own.
    address: Ipv4Addr,
    session: Option<Session>,
    phase: Phase,
    failures: Failures,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Away,
    /// Its last attempt failed.
    Waiting(Handshake),
    Shaking(Handshake),
    Subscribed(Handshake),
    Ready,
    Stalled,
}

struct Load {
    poll: Poll,
    workers: Vec<Worker>,
    orders: Receiver<Order>,
    /// How many have to become ready before the order is done.
    awaited: usize,
    done: Done,
    /// The servers of the last order to connect.
    ports: Vec<u16>,
    reconnects: Reconnects,
}

pub(crate) fn load() -> Result {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), ORDERS)?;
    let (sender, orders) = channel();
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            let sent = serde_json::from_str(&line).is_ok_and(|order| sender.send(order).is_ok());
            if !sent || waker.wake().is_err() {
                return;
            }
        }
        drop(sender);
        drop(waker.wake());
    });
    let (done, reconnects) = (Done::default(), Reconnects::new(1));
    Load { poll, workers: Vec::new(), orders, awaited: 0, done, ports: Vec::new(), reconnects }.run()
}

impl Load {
    fn run(&mut self) -> Result {
        let mut events = Events::with_capacity(256);
        loop {
            self.poll.poll(&mut events, self.reconnects.idle())?;
            let is_ordered = self.hear_all(&events)?;
            self.reconnect()?;
            if !is_ordered {
                continue;
            }
            loop {
                match self.orders.try_recv() {
                    Ok(order) => self.obey(order)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
        }
    }

    /// Whether there is an order.
    fn hear_all(&mut self, events: &Events) -> Result<bool> {
        let mut ordered = false;
        for event in events {
            match event.token() {
                ORDERS => ordered = true,
                Token(number) => self.hear(number)?,
            }
        }
        Ok(ordered)
    }

    fn obey(&mut self, order: Order) -> Result {
        match order {
            Order::Join { number, strings, count } => {
                self.reconnects = Reconnects::new(number.into());
                self.workers = made(number, &strings, count)?;
            }
            Order::Connect { ports, count, with } => return self.connect(ports, count, with),
            Order::Stall { count } => {
                self.workers.iter_mut().take(count).for_each(|worker| worker.phase = Phase::Stalled);
            }
            Order::Cut => {
                self.reconnects.clear();
                self.workers.iter_mut().for_each(|worker| (worker.session, worker.phase) = (None, Phase::Away));
            }
        }
        reply(&Done::default())
    }

    fn connect(&mut self, ports: Vec<u16>, count: usize, with: Handshake) -> Result {
        let mut events = Events::with_capacity(256);
        (self.awaited, self.done, self.ports) = (0, Done::default(), ports);
        let away: Vec<usize> = (0..count).filter(|number| self.workers[*number].phase == Phase::Away).collect();
        if away.is_empty() {
            return reply(&self.done);
        }
        self.awaited = away.len();
        for batch in away.chunks(BATCH) {
            for &number in batch {
                self.attempt(number, with)?;
            }
            self.poll.poll(&mut events, Some(Duration::ZERO))?;
            self.hear_all(&events)?;
            self.reconnect()?;
        }
        Ok(())
    }

    fn attempt(&mut self, number: usize, with: Handshake) -> Result {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[number % self.ports.len()]));
        let worker = &mut self.workers[number];
        let config = if with == Handshake::Tickets { &worker.tickets } else { &worker.full };
        let mut session = Session::connect(worker.address, server, config)?;
        session.register(self.poll.registry(), Token(number))?;
        (worker.session, worker.phase) = (Some(session), Phase::Shaking(with));
        self.reconnects.begun(number, &mut worker.failures);
        Ok(())
    }

    /// Ends attempts that took too long, and begins those that are due.
    fn reconnect(&mut self) -> Result {
        while let Some((number, attempt)) = self.reconnects.next_late() {
            let worker = &self.workers[number];
            if worker.failures.is_attempt(attempt)
                && let Phase::Shaking(with) | Phase::Subscribed(with) = worker.phase
            {
                self.lost(number, with);
            }
        }
        // A few at a time: those that are connecting must be heard, or none would ever be connected.
        for _ in 0..BATCH {
            let Some(number) = self.reconnects.next_due() else { break };
            if let Phase::Waiting(with) = self.workers[number].phase {
                self.attempt(number, with)?;
            }
        }
        Ok(())
    }

    /// A worker's attempt failed: it comes back, as any worker does.
    fn lost(&mut self, number: usize, with: Handshake) {
        let worker = &mut self.workers[number];
        (worker.session, worker.phase) = (None, Phase::Waiting(with));
        self.reconnects.failed(number, &mut worker.failures);
        self.done.repeated += 1;
    }

    /// Reads what came to a worker. Only a connection that is complete must not end.
    fn hear(&mut self, number: usize) -> Result {
        let (Phase::Shaking(with) | Phase::Subscribed(with)) = self.workers[number].phase else {
            return match self.read(number)? {
                Stands::Open => Ok(()),
                Stands::Closed => Err(format!("the server closed the connection of worker {number}").into()),
            };
        };
        match self.read(number) {
            Ok(Stands::Open) => Ok(()),
            Ok(Stands::Closed) => {
                self.lost(number, with);
                Ok(())
            }
            Err(error) if error.is::<io::Error>() => {
                self.lost(number, with);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, number: usize) -> Result<Stands> {
        let worker = &mut self.workers[number];
        let Some(session) = &mut worker.session else { return Ok(Stands::Open) };
        if worker.phase == Phase::Stalled {
            return Ok(Stands::Open);
        }
        let (mut complete, mut acks, mut refused) = (false, Vec::new(), None);
        let failures = &mut worker.failures;
        let stands = session.read(|frame| match ServerMessage::decode(frame).ok().and_then(|down| down.kind) {
            Some(ServerMessageKind::LeaseUpdate(update)) => {
                let (revision, obtained_ms) = (update.revision, update.obtained_ms);
                let what = KnownLease { instance: update.instance, revision, obtained_ms };
                acks.push(encode(&ClientMessage::from(ClientMessageKind::ApplyReport(ApplyReport {
                    lease: Some(what),
                    failure: String::new(),
                }))));
            }
            Some(ServerMessageKind::SnapshotEnd(_)) => complete = true,
            Some(ServerMessageKind::Welcome(welcome)) => failures.spread = Span::millis(welcome.spread_ms),
            Some(ServerMessageKind::Refusal(refusal)) => refused = Some(ProtocolError::from(refusal)),
            _ => {}
        })?;
        if let Some(refusal) = refused.filter(|refusal| refusal.code.is_final()) {
            return Err(format!("worker {number} is refused: {refusal}").into());
        }
        if stands == Stands::Closed {
            return Ok(stands);
        }
        acks.iter().try_for_each(|ack| session.send(ack))?;
        session.flush()?;
        if let Phase::Shaking(with) = worker.phase
            && !session.is_handshaking()
        {
            session.set_nodelay()?;
            self.done.resumed += usize::from(session.is_resumed());
            let instances = match with {
                Handshake::Full | Handshake::Tickets => vec![INSTANCE.to_owned()],
                Handshake::Greedy => vec![INSTANCE.to_owned(), FILLER.to_owned()],
                Handshake::WholeGroup => Vec::new(),
            };
            session.send(&encode(&ClientMessage::from(ClientMessageKind::Subscribe(Subscribe {
                instances,
                ..Subscribe::default()
            }))))?;
            worker.phase = Phase::Subscribed(with);
        }
        if complete && matches!(worker.phase, Phase::Subscribed(_)) {
            worker.phase = Phase::Ready;
            worker.failures.reset();
            self.awaited -= 1;
            if self.awaited == 0 {
                reply(&self.done)?;
            }
        }
        Ok(Stands::Open)
    }
}

/// Workers that joined as any worker does.
fn made(number: u8, strings: &[String], count: usize) -> Result<Vec<Worker>> {
    let strings =
        strings.iter().map(|string| Ok(Arc::new(string.parse()?))).collect::<Result<Vec<Arc<JoinString>>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut joins, mut workers) = (JoinSet::new(), Vec::with_capacity(count));
        for worker in 0..count {
            if joins.len() >= JOINS {
                workers.push(joins.join_next().await.ok_or("no join")???);
            }
            let string = Arc::clone(&strings[worker % strings.len()]);
            let address = Ipv4Addr::new(127, 1 + number, (worker >> 8) as u8, worker as u8);
            joins.spawn(async move { Worker::join(worker, &string, address).await });
        }
        while let Some(joined) = joins.join_next().await {
            workers.push(joined??);
        }
        // Each connects to the server that it joined.
        workers.sort_by_key(|(worker, _)| *worker);
        Ok(workers.into_iter().map(|(_, worker)| worker).collect())
    })
}

impl Worker {
    async fn join(number: usize, string: &JoinString, address: Ipv4Addr) -> Result<(usize, Self)> {
        let joined = join_until(string, &WorkerKey::new()?, Some(JOIN_LIMIT), number as u64, |_| {}).await;
        let tickets = joined?.tls()?;
        let mut full = ClientConfig::clone(&tickets);
        full.resumption = Resumption::disabled();
        let (session, phase, failures) = (None, Phase::Away, Failures::new());
        Ok((number, Self { full: Arc::new(full), tickets, address, session, phase, failures }))
    }
}
