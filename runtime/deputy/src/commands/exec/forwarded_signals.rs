//! Signals that a supervisor passes on to its program.

use std::future::poll_fn;
use std::io::{self, IsTerminal};
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::CommandError;
use crate::exit::Exit;

/// All that a process can catch and a program may understand.
const FORWARDED: [(Signal, SignalKind); 6] = [
    (Signal::HUP, SignalKind::hangup()),
    (Signal::INT, SignalKind::interrupt()),
    (Signal::QUIT, SignalKind::quit()),
    (Signal::TERM, SignalKind::terminate()),
    (Signal::USR1, SignalKind::user_defined1()),
    (Signal::USR2, SignalKind::user_defined2()),
];

pub(super) struct ForwardedSignals {
    streams: Vec<(Signal, tokio::signal::unix::Signal)>,
    /// A terminal sends its signals to the program as well.
    has_terminal: bool,
}

impl ForwardedSignals {
    pub(super) fn new() -> Result<Self, CommandError> {
        let streams: Result<Vec<_>, io::Error> =
            FORWARDED.into_iter().map(|(forwarded, kind)| Ok((forwarded, signal(kind)?))).collect();
        let streams =
            streams.map_err(|error| CommandError::new(Exit::Failed, error).context("cannot wait for signals"))?;
        Ok(Self { streams, has_terminal: io::stdin().is_terminal() })
    }

    /// The next one to forward.
    pub(super) async fn recv(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, stream) in &mut self.streams {
                let is_of_terminal = self.has_terminal && [Signal::INT, Signal::QUIT].contains(signal);
                while stream.poll_recv(context).is_ready() {
                    if !is_of_terminal {
                        return Poll::Ready(*signal);
                    }
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Whether a signal asks a program to end: one that ends by it is not started again.
    pub(super) fn is_end(&self, signal: Signal) -> bool {
        [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM].contains(&signal)
    }
}
