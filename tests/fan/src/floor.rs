//! The floor: the same bytes over the same TLS to as many workers, from one loop that knows no tasks, no groups and no
//! deadlines. Faster than this no server with rustls is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{io, thread};

use bytes::Bytes;
use deputy_link::encode;
use deputy_link::message::{ClientMessage, ClientMessageKind, ServerMessage, ServerMessageKind, SnapshotEnd};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use prost::Message;
use rustls::ServerConfig;

use crate::Result;
use crate::session::{Session, Stands};
use crate::tracker::Tracker;

const LISTENER: Token = Token(0);
const ORDERS: Token = Token(1);
const FIRST: usize = 2;

/// Speaks to its thread.
pub(crate) struct Floor {
    port: u16,
    frames: Sender<Bytes>,
    waker: Waker,
}

struct Loop {
    poll: Poll,
    listener: TcpListener,
    config: Arc<ServerConfig>,
    sessions: BTreeMap<usize, Session>,
    next: usize,
    frames: Receiver<Bytes>,
    tracker: Arc<Tracker>,
    complete: Bytes,
}

impl Floor {
    pub(crate) fn start(
        listener: std::net::TcpListener,
        config: Arc<ServerConfig>,
        tracker: Arc<Tracker>,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (port, waker) = (listener.local_addr()?.port(), Waker::new(poll.registry(), ORDERS)?);
        let (sender, frames) = channel();
        let complete = encode(&ServerMessage::from(ServerMessageKind::SnapshotEnd(SnapshotEnd::default())));
        let sessions = BTreeMap::new();
        let mut floor = Loop { poll, listener, config, sessions, next: FIRST, frames, tracker, complete };
        thread::spawn(move || {
            if let Err(error) = floor.run() {
                eprintln!("the floor ended: {error}");
            }
        });
        Ok(Self { port, frames: sender, waker })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Writes a frame to everybody.
    pub(crate) fn push(&self, frame: Bytes) -> Result {
        self.frames.send(frame)?;
        Ok(self.waker.wake()?)
    }
}

impl Loop {
    fn run(&mut self) -> Result {
        let mut events = Events::with_capacity(256);
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    ORDERS => {
                        while let Ok(frame) = self.frames.try_recv() {
                            for session in self.sessions.values_mut() {
                                session.send(&frame)?;
                            }
                        }
                    }
                    Token(number) => self.hear(number)?,
                }
            }
        }
    }

    fn accept(&mut self) -> Result {
        loop {
            match self.listener.accept() {
                Ok((socket, _)) => {
                    let mut session = Session::accept(socket, &self.config)?;
                    session.register(self.poll.registry(), Token(self.next))?;
                    self.sessions.insert(self.next, session);
                    self.next += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn hear(&mut self, number: usize) -> Result {
        let Some(session) = self.sessions.get_mut(&number) else { return Ok(()) };
        let (tracker, mut subscribed) = (&self.tracker, false);
        let stands = session.read(|frame| match ClientMessage::decode(frame).ok().and_then(|up| up.kind) {
            Some(ClientMessageKind::ApplyReport(applied)) => {
                tracker.note(applied.lease.map_or(0, |what| what.revision))
            }
            Some(ClientMessageKind::Subscribe(_)) => subscribed = true,
            _ => {}
        })?;
        if stands == Stands::Closed {
            self.sessions.remove(&number);
        } else if subscribed {
            session.send(&self.complete)?;
        } else {
            session.flush()?;
        }
        Ok(())
    }
}
