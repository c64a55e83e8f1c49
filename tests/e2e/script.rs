//! A service whose answers are a test's closure, and that keeps who called when: the other end of `benign-lifecycle`.

use std::fmt::Display;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deputy_test_harness::TestEnvironment;

use crate::local::read;

/// What every payload is recognised by.
const PAYLOAD: &str = "canary-of-a-payload";

/// A running service.
pub(crate) struct ScriptedServer {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<ScriptedCall>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct ScriptedCall {
    pub(crate) instance: String,
    /// `obtain`, `renew` or `revoke`.
    pub(crate) function: String,
    /// With which it was called.
    pub(crate) payload: String,
    /// Which of this instance's calls of this function it is, from 1.
    pub(crate) number: usize,
    pub(crate) at: Instant,
}

impl ScriptedServer {
    /// It answers with the lines of [`lease`] and its siblings. A closure that waits delays no other caller.
    pub(crate) fn new(answer: impl Fn(&ScriptedCall) -> String + Send + Sync + 'static) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, answer)
    }

    /// The same with another address of this machine.
    pub(crate) fn at(host: Ipv4Addr, answer: impl Fn(&ScriptedCall) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let kept = Arc::clone(&calls);
        // Ends with this process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, kept, answer) = (stream.unwrap(), Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    // `deputy doctor` asks for the root alone.
                    let Some((instance, function)) = request.target.trim_start_matches('/').split_once('/') else {
                        return;
                    };
                    let call = note(&kept, instance, function, &request.body);
                    let body = answer(&call);
                    let head =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                    // Who was cut off does not read it.
                    drop((&stream).write_all((head + &body).as_bytes()));
                });
            }
        });
        Self { address, calls }
    }

    /// One whose every lease is good for an hour.
    pub(crate) fn granting() -> Self {
        Self::new(|call| if call.function == "revoke" { String::new() } else { lease(call, Duration::from_secs(3600)) })
    }

    /// A machine without instances, on which no payload may be seen.
    pub(crate) fn home(&self) -> TestEnvironment {
        TestEnvironment::with_script().canary(PAYLOAD)
    }

    /// What stands below `[instances.NAME]` of an instance that asks here: these lines, and where to ask.
    pub(crate) fn lines(&self, name: &str, lines: &str) -> String {
        let endpoint = format!("http://{}", self.address);
        format!(
            "{lines}\n[instances.{name}.settings]\nurl = \"{endpoint}/{name}\"\n\
             [[instances.{name}.http]]\nallow = \"{endpoint}\"\nnetworks = [\"loopback\"]\n"
        )
    }

    /// All calls so far of one function of an instance.
    pub(crate) fn calls(&self, instance: &str, function: &str) -> Vec<ScriptedCall> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.instance == instance && call.function == function).cloned().collect()
    }

    /// How many those are.
    pub(crate) fn count(&self, instance: &str, function: &str) -> usize {
        self.calls(instance, function).len()
    }

    /// The functions that were called of an instance, in their order.
    pub(crate) fn functions(&self, instance: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.instance == instance).map(|call| call.function.clone()).collect()
    }
}

fn note(calls: &Mutex<Vec<ScriptedCall>>, instance: &str, function: &str, payload: &str) -> ScriptedCall {
    let mut calls = calls.lock().unwrap();
    let number = calls.iter().filter(|call| call.instance == instance && call.function == function).count() + 1;
    let (instance, function) = (instance.to_owned(), function.to_owned());
    let call = ScriptedCall { instance, function, payload: payload.to_owned(), number, at: Instant::now() };
    calls.push(call.clone());
    call
}

/// What the nth call of a function brings.
pub(crate) fn payload(instance: &str, function: &str, number: usize) -> String {
    format!("{PAYLOAD} {instance} {function} {number}")
}

/// Tokens that say nothing of their end.
pub(crate) fn endless(call: &ScriptedCall) -> String {
    format!("payload {}\n", payload(&call.instance, &call.function, call.number))
}

/// Tokens that are good for so long.
pub(crate) fn lease(call: &ScriptedCall, life: Duration) -> String {
    let until = SystemTime::now() + life;
    ending_at(call, until.duration_since(UNIX_EPOCH).unwrap().as_millis())
}

/// Tokens that end at this time.
pub(crate) fn ending_at(call: &ScriptedCall, millis: impl Display) -> String {
    endless(call) + &format!("valid-until {millis}\n")
}

/// A failure of a kind.
pub(crate) fn failure(kind: &str) -> String {
    format!("failure {kind} the service is {kind}\n")
}

/// A failure with a delay that the service states.
pub(crate) fn throttled(millis: u64) -> String {
    format!("failure throttled {millis} the service has enough\n")
}
