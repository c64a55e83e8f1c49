//! What the components say to Hadoop's servers and to Kafka, natively: the same code of the kit over a plain socket.
//!
//! Arguments: the service, its port, the principal of the server, and the login: its principal, keytab and krb5.conf. Each line
//! of standard input has a number of obtains at once, and is answered by how many nanoseconds they took together.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a part of a bench measures time and prints what it found"
)]

mod bare;
mod context;
mod web;

use std::env;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deputy_core::{Krb5Conf, LoginPlan, TicketSource};
use deputy_kerberos::{Login, LoginConfig, LoginProgram};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::bare::Native;

/// An error of another thread.
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// The argument by which this program becomes a login process.
const LOGIN_PROCESS: &str = "kerberos-login";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == LOGIN_PROCESS) {
        return deputy_kerberos::login_process();
    }
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &[String]) -> Result<(), Failed> {
    let [service, port, target, principal, keytab, krb5_conf] = arguments else {
        return Err("arguments: SERVICE PORT TARGET PRINCIPAL KEYTAB KRB5_CONF".into());
    };
    let plan = LoginPlan {
        name: "native".parse()?,
        principal: principal.parse()?,
        tickets: TicketSource::Keytab(keytab.into()),
        krb5_conf: Krb5Conf::File(krb5_conf.into()),
    };
    let program =
        LoginProgram { program: env::current_exe()?, arguments: vec![LOGIN_PROCESS.into()], environment: Vec::new() };
    let runtime = Runtime::new()?;
    let login = runtime.block_on(async { Arc::new(Login::start(LoginConfig::of(&plan), program, 1)) });
    let (target, port) = (target.parse()?, port.parse()?);
    let native = Native { service: service.clone(), login, target, port, runtime: runtime.handle().clone() };
    for line in io::stdin().lock().lines() {
        let took = match line?.parse()? {
            1 => one(&native)?,
            count => runtime.block_on(at_once(&native, count))?,
        };
        println!("{}", took.as_nanos());
        io::stdout().flush()?;
    }
    Ok(())
}

/// One obtain, on this thread: waking another one is none of its cost.
fn one(native: &Native) -> Result<Duration, Failed> {
    let begun = Instant::now();
    native.obtain()?;
    Ok(begun.elapsed())
}

async fn at_once(native: &Native, count: usize) -> Result<Duration, Failed> {
    let begun = Instant::now();
    let mut obtains = JoinSet::new();
    for _ in 0..count {
        let native = native.clone();
        obtains.spawn_blocking(move || native.obtain());
    }
    while let Some(ended) = obtains.join_next().await {
        ended??;
    }
    Ok(begun.elapsed())
}
