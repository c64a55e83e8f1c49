//! A server that speaks as much STS as `s3-sts` needs, looks at no signature and no date, and is as bad as a test wants.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::local::{Local, Request, answer};

/// Stands in every secret that it issues.
pub(crate) const CANARY: &str = "canary/of+the-stand-in";

pub(crate) struct StandIn {
    local: Local,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// Who called, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    pub(crate) caller: String,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// New credentials.
    Credentials,
    /// The same, after a while.
    Late(Duration),
    /// Nothing, as long as the caller waits.
    Nothing,
    /// That there were too many calls, and in how many seconds it may be tried again.
    Throttled(u32),
}

impl StandIn {
    /// `decide` is asked for each call, one at a time, and knows all calls before it, and who calls now.
    pub(crate) fn deciding(decide: impl Fn(&[Call], &str) -> Answer + Send + Sync + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&calls);
        let local = Local::serving(move |request| {
            let caller = caller(request);
            let mut calls = all.lock().unwrap();
            let (number, chosen) = (calls.len(), decide(&calls, &caller));
            calls.push(Call { at: Instant::now(), caller: caller.clone(), answer: chosen });
            drop(calls);
            match chosen {
                Answer::Credentials => Some(credentials(&caller, number)),
                Answer::Late(time) => {
                    thread::sleep(time);
                    Some(credentials(&caller, number))
                }
                Answer::Nothing => None,
                Answer::Throttled(seconds) => Some(throttled(seconds)),
            }
        });
        Self { local, calls }
    }

    /// One that gives everybody credentials.
    pub(crate) fn generous() -> Self {
        Self::deciding(|_, _| Answer::Credentials)
    }

    pub(crate) fn endpoint(&self) -> String {
        self.local.endpoint()
    }

    /// All calls so far, in the order in which they came.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Those of one instance.
    pub(crate) fn calls_of(&self, name: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.caller == name).collect()
    }
}

/// The most calls within any time of this length.
pub(crate) fn most_within(calls: &[Call], window: Duration) -> usize {
    let before = |call: &Call, end: Instant| end.duration_since(call.at) < window;
    let counts = calls
        .iter()
        .enumerate()
        .map(|(last, call)| calls[..=last].iter().rev().take_while(|earlier| before(earlier, call.at)).count());
    counts.max().unwrap_or(0)
}

/// The name of an instance is that of its session.
fn caller(request: &Request) -> String {
    let fields = request.fields();
    let name = fields.iter().find(|(name, _)| *name == "RoleSessionName");
    name.map(|(_, name)| (*name).to_owned()).unwrap_or_default()
}

fn credentials(caller: &str, number: usize) -> String {
    let body = format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA-{caller}-{number}</AccessKeyId>\
         <SecretAccessKey>{CANARY}/key/{number}</SecretAccessKey><SessionToken>{CANARY}/session/{number}\
         </SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
         </AssumeRoleResponse>"
    );
    answer(200, "", &body)
}

fn throttled(seconds: u32) -> String {
    let body = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
    answer(400, &format!("retry-after: {seconds}\r\n"), body)
}
