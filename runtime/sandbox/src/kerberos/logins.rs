//! The logins of a process: one for each plan, shared by all instances that have it, for as long as one of them is loaded.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use deputy_core::LoginPlan;
use deputy_kerberos::{Login, LoginConfig, LoginProgram};
use deputy_support::LockUnpoisoned as _;

/// The argument by which the program becomes a login process.
const LOGIN_PROCESS: &str = "kerberos-login";

/// The logins that instances have.
pub(crate) struct Logins {
    program: LoginProgram,
    list: Mutex<Vec<(LoginPlan, Weak<Login>)>>,
}

impl Logins {
    /// `program` is the one that compiles components: its `main` knows both arguments.
    pub(crate) fn new(program: PathBuf) -> Self {
        let program = LoginProgram { program, arguments: vec![LOGIN_PROCESS.into()], environment: Vec::new() };
        Self { program, list: Mutex::default() }
    }

    /// The login of a plan, started if no instance has it yet. To be called on a thread of the runtime.
    pub(crate) fn of(&self, plan: &LoginPlan) -> Arc<Login> {
        let mut list = self.list.lock_unpoisoned();
        list.retain(|(_, login)| login.strong_count() > 0);
        let running = list.iter().find(|(other, _)| other == plan).and_then(|(_, login)| login.upgrade());
        running.unwrap_or_else(|| {
            let seed = u64::try_from(list.len()).unwrap_or_default();
            let login = Arc::new(Login::start(LoginConfig::of(plan), self.program.clone(), seed));
            list.push((plan.clone(), Arc::downgrade(&login)));
            login
        })
    }
}
