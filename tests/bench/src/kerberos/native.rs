//! The exchanges without a sandbox, by a program of its own: its dependencies are not the program's.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use deputy_core::{Krb5Conf, LoginPlan, TicketSource};

use super::service::ServiceKind;
use crate::Result;

/// What names that program.
const PROGRAM: &str = "DEPUTY_BENCH_NATIVE";

/// The program, logged in, for one server. It ends with this value.
pub(crate) struct Native {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Native {
    pub(crate) fn start(kind: ServiceKind, port: u16, plan: &LoginPlan) -> Result<Self> {
        let program =
            env::var_os(PROGRAM).ok_or_else(|| format!("{PROGRAM} is not set: run `cargo xtask bench kerberos`"))?;
        let (TicketSource::Keytab(keytab), Krb5Conf::File(krb5_conf)) = (&plan.tickets, &plan.krb5_conf) else {
            return Err("the native program logs in by a keytab and a krb5.conf".into());
        };
        let mut command = Command::new(program);
        command.args([kind.name(), &port.to_string(), &kind.target(), plan.principal.as_str()]);
        command.arg(keytab).arg(krb5_conf).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (asks, answers) = (child.stdin.take(), child.stdout.take());
        let (Some(asks), Some(answers)) = (asks, answers) else { return Err("the native program has no pipes".into()) };
        Ok(Self { child, asks, answers: BufReader::new(answers) })
    }

    /// How long that many obtains at once take.
    pub(crate) fn obtain(&mut self, count: usize) -> Result<Duration> {
        writeln!(self.asks, "{count}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let nanos = line.trim().parse().map_err(|_| "the native program failed: see its error above")?;
        Ok(Duration::from_nanos(nanos))
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // It holds nothing that it would have to write.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}
