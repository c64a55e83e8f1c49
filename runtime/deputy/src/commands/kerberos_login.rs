//! `deputy kerberos-login`, which users do not see: the sandbox starts it to hold the tickets of one login.

use std::process::ExitCode;

use clap::Args;

/// Serve one Kerberos login over standard input
#[derive(Debug, Args)]
pub(crate) struct KerberosLoginArgs {}

impl KerberosLoginArgs {
    #[expect(clippy::unused_self, reason = "as for the other command that a process of its own runs")]
    pub(crate) fn run(&self) -> ExitCode {
        deputy_kerberos::login_process()
    }
}
