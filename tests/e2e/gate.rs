//! A gate on the way to a server: it lets everything through, or nothing, or holds one request before the server has it or its
//! answer before the caller has that. What passes is kept.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use deputy_test_harness::PATIENCE;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Open,
    /// The connection ends before anything is read, as one to a service that is down.
    Shut,
    /// Requests of this path wait before the server has them.
    HeldBefore(&'static str),
    /// The server has answered requests of this path, and the caller waits for the answer.
    HeldAfter(&'static str),
}

/// A running one. It ends with this process.
pub(crate) struct Gate {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    passage: Passage,
    /// How many requests wait or waited.
    held: usize,
    /// How often those that waited were dropped.
    drops: usize,
    /// The first line of each request that the server had, and its answer.
    exchanges: Vec<(String, String)>,
}

impl Gate {
    /// An open one before the server at this port.
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { passage: Passage::Open, held: 0, drops: 0, exchanges: Vec::new() };
        let shared = Arc::new(Shared { server, state: Mutex::new(state), changed: Condvar::new() });
        let all = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&all));
                // A caller that was killed breaks off at any place.
                thread::spawn(move || shared.pass(stream));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes what becomes of requests from now on, and of those that wait.
    pub(crate) fn set(&self, passage: Passage) {
        self.shared.state.lock().unwrap().passage = passage;
        self.shared.changed.notify_all();
    }

    /// Opens for requests from now on. Of those that wait, the server hears nothing more, and the caller neither.
    pub(crate) fn open_anew(&self) {
        self.shared.state.lock().unwrap().drops += 1;
        self.set(Passage::Open);
    }

    /// Waits until one more request is held than before `act`.
    pub(crate) fn until_held(&self, act: impl FnOnce()) {
        let before = self.shared.state.lock().unwrap().held;
        act();
        let state = self.shared.state.lock().unwrap();
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| state.held == before).unwrap();
        assert!(!waited.1.timed_out(), "no request came");
    }

    /// How many requests of this path the server had.
    pub(crate) fn forwarded(&self, path: &str) -> usize {
        let state = self.shared.state.lock().unwrap();
        state.exchanges.iter().filter(|(line, _)| path_of(line) == path).count()
    }

    /// The values of a member of all JSON that the server answered.
    pub(crate) fn answered(&self, member: &str) -> Vec<String> {
        self.answered_between(&format!("\"{member}\":\""), '"')
    }

    /// What stands in all answers between this text and this letter.
    pub(crate) fn answered_between(&self, begin: &str, end: char) -> Vec<String> {
        let state = self.shared.state.lock().unwrap();
        let values = state.exchanges.iter().flat_map(|(_, answer)| answer.split(begin).skip(1));
        values.map(|rest| rest.split(end).next().unwrap().to_owned()).collect()
    }
}

impl Shared {
    fn pass(&self, mut client: TcpStream) -> Option<()> {
        if self.state.lock().unwrap().passage == Passage::Shut {
            return client.shutdown(Shutdown::Both).ok();
        }
        let mut bytes = [0; 1 << 16];
        let length = client.read(&mut bytes).ok().filter(|length| *length > 0)?;
        let line = String::from_utf8_lossy(&bytes[..length]).lines().next()?.to_owned();
        let path = path_of(&line).to_owned();
        self.hold(|passage| matches!(passage, Passage::HeldBefore(held) if *held == path))?;
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server)).unwrap();
        let number = self.begin(line);
        server.write_all(&bytes[..length]).ok()?;
        let (mut rest, mut up) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || {
            drop(std::io::copy(&mut rest, &mut up));
            up.shutdown(Shutdown::Write)
        });
        loop {
            let length = server.read(&mut bytes).ok()?;
            if length == 0 {
                return client.shutdown(Shutdown::Both).ok();
            }
            self.note_answer(number, &bytes[..length]);
            self.hold(|passage| matches!(passage, Passage::HeldAfter(held) if *held == path))?;
            client.write_all(&bytes[..length]).ok()?;
        }
    }

    /// Waits while the gate is like this. Nothing: who waited is dropped.
    fn hold(&self, is_held: impl Fn(&Passage) -> bool) -> Option<()> {
        let mut state = self.state.lock().unwrap();
        let drops = state.drops;
        if is_held(&state.passage) {
            state.held += 1;
            self.changed.notify_all();
        }
        let state = self.changed.wait_while(state, |state| is_held(&state.passage) && state.drops == drops).unwrap();
        (state.drops == drops).then_some(())
    }

    fn begin(&self, line: String) -> usize {
        let mut state = self.state.lock().unwrap();
        state.exchanges.push((line, String::new()));
        state.exchanges.len() - 1
    }

    fn note_answer(&self, number: usize, bytes: &[u8]) {
        self.state.lock().unwrap().exchanges[number].1.push_str(&String::from_utf8_lossy(bytes));
    }
}

/// The path of a request by its first line.
fn path_of(line: &str) -> &str {
    let target = line.split(' ').nth(1).unwrap_or_default();
    target.split('?').next().unwrap_or_default()
}
