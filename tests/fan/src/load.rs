//! Thousands of workers in one thread. Each acknowledges every lease; some read nothing on order.

use std::io::{BufRead, stdin};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use deputy_link::client::join;
use deputy_link::message::{
    ApplyReport, ClientMessage, ClientMessageKind, KnownLease, ServerMessage, ServerMessageKind, Subscribe,
};
use deputy_link::{JoinString, WorkerKey, encode};
use mio::{Events, Poll, Token, Waker};
use prost::Message;
use rustls::ClientConfig;
use rustls::client::Resumption;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::Result;
use crate::child::reply;
use crate::serve::{FILLER, INSTANCE};
use crate::session::{Session, Stands};

/// The loopback's addresses that are connected to, so that there are ports for all.
const ADDRESSES: u8 = 8;

/// Joins at once; connections that are begun before what came is looked at.
const JOINS: usize = 64;
const BATCH: usize = 64;

const ORDERS: Token = Token(usize::MAX);

/// An order of the benchmark.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Creates `count` workers.
    Join { string: String, count: usize },
    /// Has the first `count` workers connect unless they are connected, with the tickets that they have or without.
    Connect { port: u16, count: usize, with: Handshake },
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
}

/// What it answers, when it is done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Connections that were resumed with a ticket, among those of this order.
    pub(crate) resumed: usize,
}

struct Worker {
    full: Arc<ClientConfig>,
    tickets: Arc<ClientConfig>,
    session: Option<Session>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Away,
    Shaking(Handshake),
    Subscribed,
    Ready,
    Stalled,
}

struct Load {
    poll: Poll,
    workers: Vec<Worker>,
    orders: Receiver<Order>,
    /// How many have to become ready before the order is done.
    awaited: usize,
    resumed: usize,
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
    Load { poll, workers: Vec::new(), orders, awaited: 0, resumed: 0 }.run()
}

impl Load {
    fn run(&mut self) -> Result {
        let mut events = Events::with_capacity(256);
        loop {
            self.poll.poll(&mut events, None)?;
            if !self.hear_all(&events)? {
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
            Order::Join { string, count } => {
                self.workers = made(&string, count)?;
                return reply(&Done::default());
            }
            Order::Connect { port, count, with } => return self.connect(port, count, with),
            Order::Stall { count } => {
                self.workers.iter_mut().take(count).for_each(|worker| worker.phase = Phase::Stalled);
            }
            Order::Cut => self.workers.iter_mut().for_each(|worker| {
                (worker.session, worker.phase) = (None, Phase::Away);
            }),
        }
        reply(&Done::default())
    }

    fn connect(&mut self, port: u16, count: usize, with: Handshake) -> Result {
        let mut events = Events::with_capacity(256);
        (self.awaited, self.resumed) = (0, 0);
        let away: Vec<usize> = (0..count).filter(|number| self.workers[*number].phase == Phase::Away).collect();
        if away.is_empty() {
            return reply(&Done::default());
        }
        self.awaited = away.len();
        for batch in away.chunks(BATCH) {
            for &number in batch {
                let worker = &mut self.workers[number];
                let address = Ipv4Addr::new(127, 0, 0, 1 + number as u8 % ADDRESSES);
                let config = if with == Handshake::Tickets { &worker.tickets } else { &worker.full };
                let mut session = Session::connect(SocketAddr::from((address, port)), config)?;
                session.register(self.poll.registry(), Token(number))?;
                (worker.session, worker.phase) = (Some(session), Phase::Shaking(with));
            }
            self.poll.poll(&mut events, Some(Duration::ZERO))?;
            self.hear_all(&events)?;
        }
        Ok(())
    }

    fn hear(&mut self, number: usize) -> Result {
        let worker = &mut self.workers[number];
        let Some(session) = &mut worker.session else { return Ok(()) };
        if worker.phase == Phase::Stalled {
            return Ok(());
        }
        let (mut complete, mut acks) = (false, Vec::new());
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
            Some(ServerMessageKind::Refusal(refused)) => eprintln!("worker {number} is refused: {}", refused.message),
            _ => {}
        })?;
        if stands == Stands::Closed {
            return Err(format!("the server closed the connection of worker {number} ({:?})", worker.phase).into());
        }
        acks.iter().try_for_each(|ack| session.send(ack))?;
        session.flush()?;
        if let Phase::Shaking(with) = worker.phase
            && !session.is_handshaking()
        {
            session.set_nodelay()?;
            self.resumed += usize::from(session.is_resumed());
            let instances = [INSTANCE, FILLER].into_iter().take(if with == Handshake::Greedy { 2 } else { 1 });
            let instances = instances.map(str::to_owned).collect();
            session.send(&encode(&ClientMessage::from(ClientMessageKind::Subscribe(Subscribe {
                instances,
                ..Subscribe::default()
            }))))?;
            worker.phase = Phase::Subscribed;
        }
        if complete && worker.phase == Phase::Subscribed {
            worker.phase = Phase::Ready;
            self.awaited -= 1;
            if self.awaited == 0 {
                reply(&Done { resumed: self.resumed })?;
            }
        }
        Ok(())
    }
}

/// Workers that joined as any worker does.
fn made(string: &str, count: usize) -> Result<Vec<Worker>> {
    let string: Arc<JoinString> = Arc::new(string.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut joins, mut workers) = (JoinSet::new(), Vec::with_capacity(count));
        for _ in 0..count {
            let string = Arc::clone(&string);
            joins.spawn(async move { join(&string, WorkerKey::new()?).await });
            if joins.len() >= JOINS {
                workers.push(Worker::new(joins.join_next().await.ok_or("no join")??.as_ref())?);
            }
        }
        while let Some(joined) = joins.join_next().await {
            workers.push(Worker::new(joined?.as_ref())?);
        }
        Ok(workers)
    })
}

impl Worker {
    fn new(identity: Result<&deputy_link::WorkerIdentity, &deputy_link::client::JoinFailure>) -> Result<Self> {
        let tickets = identity.map_err(ToString::to_string)?.tls()?;
        let mut full = ClientConfig::clone(&tickets);
        full.resumption = Resumption::disabled();
        Ok(Self { full: Arc::new(full), tickets, session: None, phase: Phase::Away })
    }
}
