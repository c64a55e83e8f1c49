//! Kerberos logins: a principal that this machine can log in as, its ticket, and security contexts for services.
//!
//! ```text
//! Login::begin(target) ─▶ KerberosContext ─▶ step ─▶ wrap, unwrap        this process
//!        └──────────────── frames over a socket ────────────────┐
//!                              login_process ─▶ MIT Kerberos ─▶ KDC      one process for each login
//! ```
//!
//! The library is the system's and written in C. It reads bytes of servers and of components, its configuration belongs to
//! a whole process, and a call cannot be cancelled. So each login has a process of its own: an error in the library reaches
//! one login's key and nothing else, each login has the krb5.conf that it names, and a silent KDC blocks that process's
//! threads alone. The coordinator holds no key and no ticket.
//!
//! **Never** opens the library in this process, writes a ticket to a disk, waits longer than the login's time limit, or
//! shows a component a text of the library or the KDC. It does not decide which targets a component may have.

mod backend;
mod context;
mod fault;
mod keeper;
mod key_type;
mod keytab;
mod keytab_file;
mod krb5_conf;
mod login;
mod login_process;
mod mit;
mod network;
mod process;
mod spnego;
mod wire;

pub use context::KerberosContext;
pub use fault::{Fault, FaultCause, FaultKind};
pub use key_type::KeyType;
pub use keytab::{KeytabEntry, KeytabError, parse_keytab};
pub use login::{Login, LoginConfig, LoginStatus};
pub use login_process::login_process;
pub use process::LoginProgram;
pub use spnego::{negotiate_answer, negotiate_token};
pub use wire::{LONGEST_MESSAGE, LONGEST_STEP, Stepped, Unwrapped};
